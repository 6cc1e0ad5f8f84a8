//! The rules of the house: which room may name which, and what stays behind which door.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The "may name" column of ARCHITECTURE.md. A room may always name itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("config", &["model"]),
    ("render", &["model"]),
    ("supervise", &["model", "clock"]),
    ("db", &["model", "config"]),
    ("hub", &["model", "clock", "db"]),
    ("master", &["model", "clock", "config", "db", "hub", "supervise"]),
    ("changes", &["model", "clock", "config", "db", "hub", "supervise", "master"]),
    ("status", &["model", "clock", "config", "render", "db", "hub", "supervise", "master", "changes"]),
    ("app", &["model", "clock", "config", "render", "db", "hub", "supervise", "master", "changes", "status"]),
];

/// Crates that may be named in few places only.
const BEHIND_A_DOOR: &[(&str, &[&str])] = &[
    ("diesel", &["src/db"]),
    ("actix_web", &["src/status/web", "src/status/user_manager/server.rs"]),
    ("lettre", &["src/status/mail"]),
    ("starlark", &["src/config"]),
    ("handlebars", &["src/render"]),
];

#[test]
fn rooms_name_only_the_rooms_above_them() {
    let may_name: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(room) = room_of(&file) else { continue };
        let allowed = may_name.get(room.as_str()).unwrap_or_else(|| panic!("{room} is not in the table of rooms"));
        for (number, line) in code_lines(&file) {
            for named in rooms_named_in(&line) {
                if named != room && may_name.contains_key(named.as_str()) && !allowed.contains(&named.as_str()) {
                    wrong.push(format!("{}:{number}: {room} may not name {named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_stay_behind_their_door() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (number, line) in code_lines(&file) {
            for (name, doors) in BEHIND_A_DOOR {
                if line.contains(&format!("{name}::")) && !doors.iter().any(|door| file.starts_with(door)) {
                    wrong.push(format!("{}:{number}: only {} names {name}", file.display(), doors.join(", ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_map_of_the_house() {
    let map = fs::read_to_string("ARCHITECTURE.md").unwrap();
    for (room, may_name) in MAY_NAME {
        let names = if may_name.is_empty() { "–".to_owned() } else { may_name.join(" ") };
        let row = map.lines().find(|line| line.starts_with(&format!("| `{room}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {room}"));
        assert!(row.ends_with(&format!("| {names} |")), "ARCHITECTURE.md says otherwise of {room}: {row}");
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 20, "the tests run in the folder of Cargo.toml");
    found
}

/// `src/db/logs.rs` and `src/db.rs` are in the room `db`; `src/lib.rs` and `src/main.rs` in none.
fn room_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.iter().next()?.to_str()?.trim_end_matches(".rs");
    (first != "lib" && first != "main").then(|| first.to_owned())
}

/// Lines without comments, numbered from 1; up to the tests at the foot of a file, which may reach further.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let bare = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    bare.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// The rooms after `crate::` on a line, `crate::{db, hub::Hub}` included where it is on one line.
fn rooms_named_in(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let words = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split(',').map(|part| words(part.trim()))),
            None => rooms.push(words(rest)),
        }
    }
    rooms
}
