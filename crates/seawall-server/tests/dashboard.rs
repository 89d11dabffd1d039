//! The dashboard's files: all of them are there, fit together, and ask nothing of anybody else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, fs, path::PathBuf};

fn assets() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    entries.map(read).collect()
}

/// The text between the quotes after `mark`, each time it occurs.
fn after<'t>(text: &'t str, mark: &str, quote: char) -> Vec<&'t str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split(quote).next()).collect()
}

#[test]
fn every_file_is_used_and_every_file_used_is_there() {
    let assets = assets();
    let names: BTreeSet<&str> = assets.iter().map(|(name, _)| name.as_str()).collect();
    let mut used = BTreeSet::from(["index.html"]);
    for (name, text) in &assets {
        let links = after(text, "\"/dashboard/", '"').into_iter();
        let imports = after(text, " from './", '\'').into_iter();
        for file in links.chain(imports) {
            assert!(names.contains(file), "{name} asks for {file}, which is not there");
            used.insert(file);
        }
    }
    assert_eq!(used, names, "a file that nobody asks for");
}

#[test]
fn imports_are_exported() {
    let assets = assets();
    for (name, text) in &assets {
        for import in text.split("import {").skip(1) {
            let (list, rest) = import.split_once("} from './").unwrap();
            let file = rest.split('\'').next().unwrap();
            let (_, exporting) = assets.iter().find(|(name, _)| name == file).unwrap();
            for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                let word = word.split(" as ").next().unwrap();
                let forms = ["function", "async function", "const", "class", "let"];
                let exports =
                    forms.iter().any(|form| exporting.contains(&format!("export {form} {word}")));
                assert!(exports, "{name} imports {word}, which {file} does not export");
            }
        }
    }
}

#[test]
fn elements_that_scripts_look_for_are_on_the_page() {
    let assets = assets();
    let (_, page) = assets.iter().find(|(name, _)| name == "index.html").unwrap();
    let ids: Vec<&str> = after(page, " id=\"", '"');
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id that is there twice");
    for (name, text) in &assets {
        let icons = after(text, "icon('", '\'').into_iter().map(|icon| format!("i-{icon}"));
        let wanted = after(text, "byId('", '\'').into_iter().map(str::to_owned).chain(icons);
        for id in wanted {
            assert!(ids.contains(&id.as_str()), "{name} looks for {id}");
        }
    }
    for used in ["aria-labelledby", "aria-describedby", "for"] {
        for id in
            after(page, &format!(" {used}=\""), '"').into_iter().flat_map(str::split_whitespace)
        {
            assert!(ids.contains(&id), "{used} names {id}");
        }
    }
}

#[test]
fn files_are_small_and_say_what_they_are() {
    for (name, text) in assets() {
        let lines = text.lines().count();
        assert!(lines <= 250, "{name} has {lines} lines");
        let begins = if name.ends_with(".js") { "// " } else { "/* " };
        assert!(
            name.ends_with(".html") || text.starts_with(begins),
            "{name} does not say what it is"
        );
        let kinds = ["html", "css", "js"].iter();
        assert!(kinds.filter(|kind| name.ends_with(&format!(".{kind}"))).count() == 1, "{name}");
    }
}

#[test]
fn nothing_is_asked_of_another_site_and_nothing_is_inline() {
    for (name, text) in assets() {
        for address in ["http://", "https://", "//cdn", "url("] {
            let found = text.match_indices(address).filter(|(at, _)| {
                !text[*at..].starts_with("http://www.w3.org/2000/svg")
                    && !text[*at..].starts_with("url(#")
            });
            assert_eq!(found.count(), 0, "{name} names {address}");
        }
        if name == "index.html" {
            for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
                assert!(!text.contains(inline), "{name} has {inline}");
            }
        }
        for unsafe_way in ["innerHTML", "document.write", "eval(", "insertAdjacentHTML"] {
            assert!(!text.contains(unsafe_way), "{name} uses {unsafe_way}");
        }
    }
}
