//! Rules for documents: their links lead somewhere, and they name no folder of anybody's machine.

use super::Finding;

/// Folders in the root of a machine that only its owner has something in.
const PRIVATE: &[&str] = &["Users/", "home/", "root/", "tmp/target", "work/"];

/// The findings in one document; `exists` answers for paths from the root of the checkout.
pub(super) fn findings(file: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut fence = None;
    for (line, text) in (1..).zip(text.lines()) {
        let mut tell = |what| found.push(Finding { file: file.to_owned(), line, what });
        if let Some(path) = private_path(text) {
            tell(format!("`{path}` is a place on one machine"));
        }
        let mark = ["```", "~~~"].into_iter().find(|mark| text.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                let links = links(&without_code(text));
                links.iter().filter_map(|link| broken(file, link, exists)).for_each(&mut tell);
            }
        }
    }
    found
}

/// Code in a line shows links, it does not make them.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // A tick without its pair is one.
    let paired = parts.len() - usize::from(parts.len().is_multiple_of(2));
    let outside = |(at, part): (usize, &&str)| {
        if at % 2 == 0 || at >= paired { (*part).to_owned() } else { String::new() }
    };
    parts.iter().enumerate().map(outside).collect::<Vec<_>>().join("`")
}

/// The targets of `[text](target)`, `[name]: target`, `src="target"` and `href="target"`.
fn links(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
        for (at, _) in line.match_indices(start) {
            found.extend(target(&line[at + start.len()..], end));
        }
    }
    if let Some((name, rest)) = line.trim_start().split_once("]: ")
        && name.starts_with('[')
        && !name.starts_with("[^")
    {
        found.extend(rest.split_whitespace().next().map(str::to_owned));
    }
    found
}

/// Up to the end sign, without a title; parentheses may nest.
fn target(text: &str, end: char) -> Option<String> {
    let mut depth = 0;
    let length = text.find(|c| {
        let ends = c == end && depth == 0;
        depth += i32::from(c == '(') - i32::from(c == ')');
        ends
    })?;
    let target = text[..length].split_whitespace().next()?;
    Some(target.trim_matches(['<', '>']).to_owned())
}

fn broken(file: &str, link: &str, exists: &dyn Fn(&str) -> bool) -> Option<String> {
    let elsewhere = link.contains("://") || link.starts_with("mailto:");
    let path = link.split(['#', '?']).next().unwrap_or_default();
    if elsewhere || path.is_empty() {
        return None;
    }
    match from_root(file, path) {
        None => Some(format!("`{link}` leads out of the repository")),
        Some(target) if exists(&target) => None,
        Some(target) => Some(format!("`{link}` leads to `{target}`, which is not there")),
    }
}

/// A link's path from the root; one that starts with a slash is from the root already.
fn from_root(file: &str, path: &str) -> Option<String> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let whole = match path.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None => format!("{folder}/{path}"),
    };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// A path of one machine; a slash after a word is the middle of some other path or address.
fn private_path(line: &str) -> Option<&str> {
    let starts = |at: usize| {
        let before = line[..at].chars().next_back();
        let alone = before.is_none_or(|c| !c.is_alphanumeric() && !"._-~/>})]$".contains(c));
        alone && PRIVATE.iter().any(|folder| line[at + 1..].starts_with(folder))
    };
    let (at, _) = line.match_indices('/').find(|(at, _)| starts(*at))?;
    let rest = &line[at..];
    let ends = |c: char| c.is_whitespace() || "`\"')(]<>,;".contains(c);
    Some(&rest[..rest.find(ends).unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests;
