//! Named steps: chosen by name, timed, all run to the end, with the failures together at the end.

use std::{
    fmt::Display,
    io::Write,
    time::{Duration, Instant},
};

/// One step of a task.
pub(crate) struct Step {
    name: &'static str,
    /// Steps that must have run before, also when only this one was asked for.
    needs: &'static [&'static str],
    action: Box<dyn Fn() -> Result<(), String>>,
}

impl Step {
    pub(crate) fn new(
        name: &'static str,
        action: impl Fn() -> Result<(), String> + 'static,
    ) -> Self {
        Self { name, needs: &[], action: Box::new(action) }
    }

    pub(crate) fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }
}

/// How steps show their output.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shown {
    /// One line each; a step's action prints nothing itself.
    AsLines,
    /// A heading before each, since its action prints, and the lines at the end.
    WithOutput,
}

/// The steps with one of the words in their name, and what they need; all, when there are no words.
pub(crate) fn choose(mut steps: Vec<Step>, words: &[&str]) -> Result<Vec<Step>, String> {
    if let Some(word) = words.iter().find(|word| !steps.iter().any(|s| s.name.contains(**word))) {
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        return Err(format!("no step is called `{word}`; there are {}", names.join(", ")));
    }
    let asked = |step: &Step| words.is_empty() || words.iter().any(|word| step.name.contains(word));
    let needed: Vec<&str> =
        steps.iter().filter(|step| asked(step)).flat_map(|step| step.needs).copied().collect();
    steps.retain(|step| asked(step) || needed.contains(&step.name));
    Ok(steps)
}

/// Runs every step, also after one failed.
pub(crate) fn run(steps: &[Step], shown: Shown) -> Result<(), String> {
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for step in steps {
        match shown {
            Shown::AsLines => print!("{:<14}", step.name),
            Shown::WithOutput => println!("\n== {} ==", step.name),
        }
        // Nothing is lost when the first half of a line is late.
        std::io::stdout().flush().ok();
        let start = Instant::now();
        let outcome = (step.action)();
        let verdict = verdict(&outcome, start.elapsed());
        match shown {
            Shown::AsLines => println!("{verdict}"),
            Shown::WithOutput => lines.push(format!("{:<14}{verdict}", step.name)),
        }
        failures.extend(outcome.err().map(|failure| (step.name, failure)));
    }
    if shown == Shown::WithOutput {
        println!("\n== summary ==\n{}", lines.join("\n"));
    }
    summary(&failures, steps.len())
}

fn verdict(outcome: &Result<(), impl Display>, time: Duration) -> String {
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    format!("{word:<6} {:>7.1} s", time.as_secs_f64())
}

fn summary(failures: &[(&str, String)], steps: usize) -> Result<(), String> {
    if failures.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> =
        failures.iter().map(|(name, text)| format!("\n-- {name} --\n{}\n", text.trim())).collect();
    let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
    let count = failures.len();
    Err(format!("{}\n{count} of {steps} steps failed: {}", texts.concat(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc};

    fn suite() -> Vec<Step> {
        let step = |name| Step::new(name, || Ok(()));
        vec![step("tools"), step("build"), step("tests").needs(&["tools", "build"]), step("loom")]
    }

    fn names(words: &[&str]) -> Result<Vec<&'static str>, String> {
        Ok(choose(suite(), words)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn a_word_chooses_and_brings_what_is_needed() {
        assert_eq!(names(&[]), Ok(vec!["tools", "build", "tests", "loom"]));
        assert_eq!(names(&["loom"]), Ok(vec!["loom"]));
        assert_eq!(names(&["tes"]), Ok(vec!["tools", "build", "tests"]));
        let none = names(&["loom", "lint"]).unwrap_err();
        assert_eq!(none, "no step is called `lint`; there are tools, build, tests, loom");
    }

    #[test]
    fn a_failure_stops_nothing_and_is_reported_at_the_end() {
        let ran = Rc::new(Cell::new(false));
        let last = Rc::clone(&ran);
        let steps = vec![
            Step::new("first", || Err("it broke".into())),
            Step::new("last", move || {
                last.set(true);
                Ok(())
            }),
        ];
        let failure = run(&steps, Shown::AsLines).unwrap_err();
        assert!(ran.get());
        assert_eq!(failure, "\n-- first --\nit broke\n\n1 of 2 steps failed: first");
    }
}
