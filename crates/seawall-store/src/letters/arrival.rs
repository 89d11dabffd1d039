//! A letter on its way into a place that keeps records: checked, cut to its bounds, and sealed.

use super::{
    Refusal, config::Queues, content::Content, keys::Keys, letter::Letter, lifecycle, seal,
};

/// A letter that is ready to be written.
pub(crate) struct Arrival {
    /// The letter, without its content.
    pub(crate) letter: Letter,
    /// The record of its content, or why it is not taken.
    pub(crate) content: Result<Vec<u8>, Refusal>,
}

impl Arrival {
    /// Makes a letter ready to be written into its queue.
    pub(crate) fn new(mut letter: Letter, queues: &Queues, keys: &Keys) -> Self {
        let config = queues.of(&letter.envelope.queue);
        let content = lifecycle::prepare(&mut letter, config).and_then(|()| {
            if config.encryption && keys.is_empty() {
                let why = "its queue is to be encrypted, and there is no key";
                return Err(Refusal::Invalid(why.to_owned()));
            }
            let Content::Open { headers, payload } = &letter.content else {
                return Err(Refusal::Invalid("its content is not there".to_owned()));
            };
            let over = config.compress_over;
            let sealed = seal::seal(letter.envelope.id, headers, &payload.0, over, keys);
            sealed.map_err(|error| Refusal::Invalid(error.to_string()))
        });
        letter.content = Content::Unreadable(String::new());
        Self { letter, content }
    }
}
