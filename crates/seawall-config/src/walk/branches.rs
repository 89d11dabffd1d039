//! The mark that distinguishes the branches of a choice: a tag field, or a single key.

use crate::schema::Schemas;
use serde_json::Value as Schema;

/// Branches with the word that stands for each: a tag's value, or a key.
pub(super) type Named<'s> = Vec<(&'s str, &'s Schema)>;

impl<'s> Schemas<'s> {
    /// The field that every branch demands with a word of its own, and the branches by that word.
    pub(super) fn tagged(self, branches: &[&'s Schema]) -> Option<(&'s str, Named<'s>)> {
        let first = branches.first()?;
        self.required(first).into_iter().find_map(|tag| {
            let named = branches.iter().map(|branch| Some((self.tag_word(branch, tag)?, *branch)));
            Some((tag, named.collect::<Option<Named<'s>>>()?))
        })
    }

    fn tag_word(self, branch: &'s Schema, tag: &str) -> Option<&'s str> {
        let demanded = self.required(branch).contains(&tag);
        let fields = self.properties(branch);
        let (_, schema) = fields.into_iter().find(|(name, _)| demanded && *name == tag)?;
        match self.constants(schema)? {
            [only] => only.as_str(),
            _ => None,
        }
    }

    /// The branches by the one key that each consists of; there must be several, with different keys.
    pub(super) fn keyed(self, branches: &[&'s Schema]) -> Option<Named<'s>> {
        let named = branches.iter().map(|branch| Some((self.only_key(branch)?, *branch)));
        let named = named.collect::<Option<Named<'s>>>()?;
        let differ = named
            .iter()
            .enumerate()
            .all(|(i, (key, _))| named[..i].iter().all(|(earlier, _)| earlier != key));
        (named.len() > 1 && differ).then_some(named)
    }

    pub(super) fn only_key(self, branch: &'s Schema) -> Option<&'s str> {
        let required = self.required(branch);
        let fields = self.properties(branch);
        match (fields.as_slice(), required.as_slice()) {
            ([(name, _)], [only]) if name == only => Some(name),
            _ => None,
        }
    }
}
