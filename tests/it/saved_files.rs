//! Files as editors and spreadsheets save them: whatever their line ends and encoding, the line that is named is the
//! line that the editor shows, and nothing is read in part in silence.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use ringback::config::{AlertRules, Config};
use secrecy::ExposeSecret;

use crate::world::Folder;

const RULES: &str = "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\n";

/// What is said of a group whose numbers are in such a file; the numbers and their labels if nothing is.
fn said_of(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let folder = Folder::new();
    std::fs::write(folder.path().join("x.csv"), bytes).unwrap();
    load(folder.path(), "[[group]]\nname = \"g\"\nnumbers_file = \"x.csv\"\n")
}

fn load(folder: &Path, groups: &str) -> Result<Vec<(String, String)>, String> {
    let path = folder.join("ringback.toml");
    std::fs::write(&path, format!("{RULES}{groups}")).unwrap();
    let rules = AlertRules::load(&path).map_err(|e| e.to_string().replace(&format!("{}/", folder.display()), ""))?;
    Ok(rules.roster.numbers().map(|(_, n)| (n.id.e164.to_string(), n.label.clone())).collect())
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn numbers_are_read_whatever_a_spreadsheet_puts_around_them() {
    let one = |label: &str| vec![("+15005550100".to_owned(), label.to_owned())];
    let cases: [(&str, Vec<u8>, Vec<(String, String)>); 14] = [
        ("CR LF and a mark", b"\xef\xbb\xbfnumber,label\r\n+15005550100,Bern\r\n\r\n".into(), one("Bern")),
        ("CR alone", b"number,label\r+15005550100,Bern\r".into(), one("Bern")),
        ("no end of the last line", b"number,label\n+15005550100,Bern".into(), one("Bern")),
        ("semicolons", b"label;number\r\nBern;+15005550100\r\n".into(), one("Bern")),
        ("Excel's hint", b"\xef\xbb\xbfsep=;\r\nnumber;label\r\n+15005550100;a, b\r\n".into(), one("a, b")),
        (
            "tabs in UTF-16",
            utf16("\u{feff}number\tlabel\r\n+15005550100\tB\u{fc}ro\r\n", u16::to_le_bytes),
            one("Büro"),
        ),
        ("UTF-16 without a mark", utf16("number,label\n+15005550100,B\u{fc}ro\n", u16::to_be_bytes), one("Büro")),
        ("formula", b"number,label\r\n\"=\"\"+15005550100\"\"\",Bern\r\n".into(), one("Bern")),
        ("apostrophe", b"number,label\n'+15005550100,Bern\n".into(), one("Bern")),
        ("spaces that do not break", "number,label\n\u{a0}+15005550100\u{202f},\u{a0}Bern\n".into(), one("Bern")),
        ("Twilio's list", b"Phone Number,Friendly Name,SID\r\n+15005550100,Bern,PN1\r\n".into(), one("Bern")),
        (
            "quotation marks",
            b"number,label\n\"+15005550100\" , \"the \"\"main\"\" one\"\n".into(),
            one("the \"main\" one"),
        ),
        ("lines in a label", b"number,label\n+15005550100,\"Bern,\r\nSwitzerland\"\n".into(), one("Bern, Switzerland")),
        (
            "empty rows and comments",
            b"# ours\nnumber,label,,\n,,,\n \n# one\n+15005550100,Bern,,\n".into(),
            one("Bern"),
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(said_of(&bytes), Ok(expected), "{name}");
    }
}

const NATIONAL: &str = "number: \"5005550103\": has no + and is not a number in E.164; write +15005550103 if it is a \
                        number of North America; in the spreadsheet, format the column as Text before the numbers \
                        come into it";

#[test]
fn the_line_is_the_one_that_the_editor_shows() {
    let cases: [(&str, &[u8], &str); 10] = [
        ("LF", b"number,label\n+15005550100,a\n5005550103,b\n", "3:1"),
        ("CR LF", b"number,label\r\n+15005550100,a\r\n5005550103,b\r\n", "3:1"),
        ("CR alone", b"number,label\r+15005550100,a\r5005550103,b\r", "3:1"),
        ("mixed", b"number,label\r\n+15005550100,a\n+15005550101,a\r5005550103,b\r\n", "4:1"),
        ("a mark", b"\xef\xbb\xbflabel,number\r\nb,5005550103\r\n", "2:3"),
        ("a blank line", b"number,label\r\n\r\n+15005550100,a\r\n \r\n5005550103,b\r\n", "5:1"),
        ("comments", b"# a\nnumber,label\n# b\n\n5005550103,b\n", "5:1"),
        ("lines in a field before", b"number,label\r\n+15005550100,\"a\r\nb\"\r\n5005550103,b\r\n", "4:1"),
        ("lines in a field of the row", b"label,number\n\"a\nb\",5005550103\n", "3:4"),
        ("letters of two bytes", "label,number\nBüro,5005550103\n".as_bytes(), "2:6"),
    ];
    for (name, bytes, place) in cases {
        assert_eq!(said_of(bytes), Err(format!("x.csv:{place}: {NATIONAL}")), "{name}");
    }
}

const UNCLOSED: &str = "this quotation mark is never closed, or only beyond other rows, which it would swallow: close \
                        it, or remove it (within a text in quotation marks, write two)";

#[test]
fn no_row_is_left_out_in_silence() {
    let rows = (2..20_000).fold(String::new(), |mut rows, n| {
        writeln!(rows, "+1500{n:07},n{n}").unwrap();
        rows
    });
    let stray = format!("number,label\n+15005550100,\"one\n{rows}");
    assert_eq!(said_of(stray.as_bytes()), Err(format!("x.csv:2:14: \"\\\"one\": {UNCLOSED}")));
    let pair = format!("{stray}+15005550199,\"last\"\n+15005550198,\"open\n");
    let twice = format!("x.csv:2:14: \"\\\"one\": {UNCLOSED}\nx.csv:20002:14: \"\\\"open\": {UNCLOSED}");
    assert_eq!(said_of(pair.as_bytes()), Err(twice));
    let empty = "is empty: write number,label,channels,timezone as its first line, and a number in each below it";
    let mut long = b"number,label\n+15005550100,\"".to_vec();
    long.resize(10_000_000, b'x');
    let long_said = format!("2:14: \"\\\"{}\"…: {UNCLOSED}", "x".repeat(59));
    let cases: [(&str, &[u8], &str); 17] = [
        ("nothing", b"", &format!(" {empty}")),
        ("blank lines", b"\xef\xbb\xbf\r\n \r\n", &format!(" {empty}")),
        (
            "a header alone",
            b"number,label\r\n\r\n,,\r\n",
            " has a header and no number below it: a group has at least one number",
        ),
        ("a line of 10 MB", &long, &long_said),
        (
            "a closed mark and more",
            b"number,label\n+15005550100,\"a\" b\n",
            "2:14: \"\\\"a\\\" b\": text after the quotation mark that closes the field: quote the whole \
             field, and write two for one within it",
        ),
        (
            "no header",
            b"+15005550100,a\n+15005550101,b\n",
            "1:1: \"+15005550100\": a number where the header belongs: put number,label,channels,timezone above it",
        ),
        (
            "a column misspelt",
            b"number,channel\n+15005550100,voice\n",
            "1:8: \"channel\" is not a column; rename it or take it out: the header is number,label,channels,timezone",
        ),
        (
            "a column twice",
            b"Phone Number,number\n+15005550100,+15005550101\n",
            "1:14: \"number\": a second column for the same; take one out",
        ),
        (
            "a column without a name",
            b"number,\n+15005550100,voice\n",
            "2:14: \"voice\": a field in a column whose header is empty; name the column, or take it out",
        ),
        ("a row without a number", b"number,label\n,a\n+15005550100,b\n", "2:1: number: is missing in this row: \"a\""),
        (
            "channels that name none",
            b"number,channels\n+15005550100,;\n",
            "2:14: channels: names none: write voice, messaging or both, or leave the field empty",
        ),
        (
            "a cell that is an error",
            b"number,label\n+15005550100,a\n#NAME?,b\n",
            "3:1: number: \"#NAME?\": a spreadsheet's error stands for the number; write the number; in the \
             spreadsheet, format the column as Text before the numbers come into it",
        ),
        (
            "digits that are lost",
            b"number,label\r\n1.50056E+10,a\r\n",
            "2:1: number: \"1.50056E+10\": a spreadsheet rounded this number, and its last digits are lost; \
             take it from where it came from; in the spreadsheet, format the column as Text before the \
             numbers come into it",
        ),
        (
            "a plus that is lost",
            b"number,label\r\n15005550100,a\r\n",
            "2:1: number: \"15005550100\": has no + and is not a number in E.164; write +15005550100; in the \
             spreadsheet, format the column as Text before the numbers come into it",
        ),
        (
            "written for people",
            b"number\n+1 (500) 555-0100\n",
            "2:1: number: \"+1 (500) 555-0100\": is not written as E.164; write +15005550100",
        ),
        (
            "a prefix that is dialled",
            b"number\n0015005550100\n",
            "2:1: number: \"0015005550100\": begins with a prefix that is dialled; write +15005550100",
        ),
        (
            "a row in quotation marks",
            b"number,label\n\"+15005550100,a\"\n",
            "2:1: number: \"+15005550100,a\": the whole row is one field; separate its fields as those of the \
             header, without quotation marks around the row",
        ),
    ];
    for (name, bytes, said) in cases {
        assert_eq!(said_of(bytes), Err(format!("x.csv:{said}")), "{name}");
    }
}

/// What the group leaves out no row brings back without a word.
#[test]
fn a_row_names_no_channel_that_its_group_has_not() {
    let folder = Folder::new();
    let group = "[[group]]\nname = \"g\"\nchannels = [\"voice\"]\nnumbers_file = \"x.csv\"\n";
    for (channels, is_good) in [("voice", true), ("", true), ("messaging", false), ("voice messaging", false)] {
        let file = format!("number,channels\n+15005550100,{channels}\n");
        std::fs::write(folder.path().join("x.csv"), file).unwrap();
        let said = load(folder.path(), group);
        let bad = "x.csv:2:1: +15005550100: channels: messaging is not among the group's channels";
        assert_eq!(said.is_ok(), is_good, "{channels}");
        assert!(is_good || said.is_err_and(|said| said.contains(bad)), "{channels}");
    }
}

#[test]
fn other_encodings_are_named_with_the_cure() {
    let cure = "save it as UTF-8: in Excel, Save As, \"CSV UTF-8 (Comma delimited)\"; in LibreOffice, Save As, Text \
                CSV, \"Edit filter settings\", character set \"Unicode (UTF-8)\"";
    let foreign = |byte: &str| {
        format!(
            "byte {byte} is not UTF-8, and in which encoding it is cannot be told: open the file where its letters are \
             right, and {cure}"
        )
    };
    let cut = [utf16("\u{feff}number\n+15005550100", u16::to_le_bytes), b"0".into()].concat();
    let cases: [(&str, &[u8], String); 9] = [
        ("Latin-1", b"number,label\r\n+15005550100,B\xfcro\r\n", format!("2:15: \"B�ro\": {}", foreign("0xFC"))),
        ("code page 437", b"number,label\r\n+15005550100,B\x81ro\r\n", format!("2:15: \"B�ro\": {}", foreign("0x81"))),
        ("code page 850", b"number,label\r\n+15005550100,Z\x90\x90\r\n", format!("2:15: \"Z��\": {}", foreign("0x90"))),
        (
            "Windows-1252",
            b"number,label\r\n+15005550100,a\r\n+15005550101,5 \x80\r\n",
            format!("3:16: \"5 �\": {}", foreign("0x80")),
        ),
        ("UTF-16 cut off", &cut, format!(" is UTF-16 and ends within a letter; perhaps it was cut off: {cure}")),
        ("UTF-16 damaged", b"\xff\xfe\x00\xd8a\0", format!(" is UTF-16 and damaged: {cure}")),
        ("UTF-32", b"\xff\xfe\0\0n\0\0\0", format!(" is UTF-32: {cure}")),
        (
            "a NUL",
            b"number,label\r\n+15005550100,o\0ne\r\n",
            format!("2:15: a NUL byte: the file is damaged, or no text: {cure}"),
        ),
        (
            "a workbook",
            b"PK\x03\x04\0\0",
            format!(" is no text but a zip archive or a spreadsheet (.xlsx, .ods): {cure}"),
        ),
    ];
    for (name, bytes, said) in cases {
        assert_eq!(said_of(bytes), Err(format!("x.csv:{said}")), "{name}");
    }
    // The rest is looked at all the same.
    let two = said_of(b"number,label\r\n+15005550100,B\xfcro\r\n5005550103,b\r\n").unwrap_err();
    assert_eq!(two, format!("x.csv:2:15: \"B�ro\": {}\nx.csv:3:1: {NATIONAL}", foreign("0xFC")));
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("x.csv")).unwrap();
    let group = "[[group]]\nname = \"g\"\nnumbers_file = \"x.csv\"\n";
    let said = "x.csv: is a folder; name the CSV file in it with numbers_file";
    assert_eq!(load(folder.path(), group).unwrap_err(), said);
    std::fs::remove_dir(folder.path().join("x.csv")).unwrap();
    // Nobody ever writes to it.
    assert!(Command::new("mkfifo").arg(folder.path().join("x.csv")).status().unwrap().success());
    let said = "x.csv: is a pipe or a device; write the numbers into a file and name that with numbers_file";
    assert_eq!(load(folder.path(), group).unwrap_err(), said);
}

#[test]
fn rows_with_one_fault_do_not_hide_those_with_another() {
    let mut text = "number\n".to_owned();
    for n in 0..20_000 {
        writeln!(text, "{}", 15_005_550_000_u64 + n).unwrap();
    }
    let said = said_of(format!("{text}1.5E+10\n").as_bytes()).unwrap_err();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 12, "{said}");
    assert!(lines[9].starts_with("x.csv:11:1: number: \"15005550009\""), "{said}");
    assert_eq!(
        lines[10],
        "x.csv:12:1: 19990 more rows like that, up to line 20001: has no + and is not a number in E.164"
    );
    assert!(lines[11].starts_with("x.csv:20002:1: number: \"1.5E+10\": a spreadsheet rounded"), "{said}");
}

#[test]
fn a_number_in_two_files_is_named_by_both_their_lines() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("a.csv"), "number\r\n\r\n+15005550100\r\n").unwrap();
    std::fs::write(folder.path().join("b.csv"), "number\r\n+15005550101\r\n+15005550100\r\n").unwrap();
    let group = |name: &str| format!("[[group]]\nname = \"{name}\"\nnumbers_file = \"{name}.csv\"\n");
    let said = load(folder.path(), &(group("a") + &group("b"))).unwrap_err();
    assert_eq!(said, "b.csv:3:1: +15005550100 is listed twice, the first time in a.csv:3; a number has one group");
}

/// What would not fit into memory is said before it is tried.
#[test]
fn a_file_has_no_more_numbers_than_one_agent_watches() {
    let rows = |most: usize| {
        (0..most).fold("number\n".to_owned(), |mut text, i| {
            writeln!(text, "+1500{i:07}").unwrap();
            text
        })
    };
    for (most, is_refused) in [(100_000, false), (100_001, true), (400_000, true)] {
        let said = said_of(rows(most).as_bytes()).map(|numbers| numbers.len());
        match said {
            Ok(read) => assert!(!is_refused && read == most, "{read} of {most}"),
            Err(said) => {
                let cure =
                    "x.csv:100002:1: has more than 100000 numbers; give them to several agents, each with a file";
                assert!(is_refused && said.contains(cure), "{most}: {}", &said[..said.len().min(400)]);
            }
        }
    }
}

/// The configuration itself.
#[test]
fn a_configuration_is_read_as_editors_save_it() {
    let folder = Folder::new();
    let path = folder.path().join("ringback.toml");
    let text = format!("{RULES}[[group]]\nname = \"g\"\nnumbers = [\"+15005550100\"]\n");
    let wrong = "nonsense = 1\n".to_owned() + &text.replace("0100\"]", "0100\"]\nport_at = \"b\u{fc}ro\"");
    let mark = "\u{feff}";
    let windows = wrong.replace('\n', "\r\n");
    let files: [(&str, Vec<u8>); 5] = [
        ("LF", wrong.clone().into()),
        ("CR LF and a mark", format!("{mark}{windows}").into()),
        ("CR alone", wrong.replace('\n', "\r").into()),
        ("UTF-16", utf16(&format!("{mark}{windows}"), u16::to_le_bytes)),
        ("UTF-16 without a mark", utf16(&windows, u16::to_be_bytes)),
    ];
    for (name, bytes) in files {
        std::fs::write(&path, bytes).unwrap();
        let said = AlertRules::load(&path).unwrap_err().to_string();
        let places: Vec<_> = said.lines().map(|l| l.replace(&path.display().to_string(), "")).collect();
        assert!(places[0].starts_with(":1:1: nonsense is not a setting"), "{name}: {said}");
        assert!(places[1].starts_with(":7:11: group.port_at = \"büro\": must be"), "{name}: {said}");
        assert_eq!(places.len(), 2, "{name}: {said}");
    }
    std::fs::write(&path, [text.replace('\n', "\r\n").as_bytes(), b"# B\xfcro\r\n"].concat()).unwrap();
    let said = AlertRules::load(&path).unwrap_err().to_string().replace(&path.display().to_string(), "");
    let problem = "a letter that is not UTF-8, and in which encoding it is cannot be told: open the file where its \
                   letters are right, and save it as UTF-8";
    assert_eq!(said, format!(":6:4: {problem}"));
}

#[test]
fn secrets_are_what_was_meant_whatever_the_editor_added() {
    let folder = Folder::new();
    let path = folder.path().join("ringback.toml");
    let group = "[[group]]\nname = \"g\"\nnumbers = [\"+15005550100\"]\n";
    std::fs::write(&path, format!("{RULES}[agent]\ntoken_file = \"token\"\n{group}")).unwrap();
    let twilio = HashMap::from([("TWILIO_AUTH_TOKEN", "\u{feff}0123456789abcdef\r")]);
    let token = |bytes: &[u8]| {
        std::fs::write(folder.path().join("token"), bytes).unwrap();
        let config = Config::load(&path, &twilio).map_err(|e| e.to_string())?;
        Ok(config.agent.token.unwrap().expose_secret().to_owned())
    };
    let meant = Ok::<_, String>("open sesame".to_owned());
    assert_eq!(token(b"open sesame\r\n"), meant);
    assert_eq!(token(b"\xef\xbb\xbfopen sesame\n"), meant);
    assert_eq!(token(&utf16("\u{feff}open sesame\r\n", u16::to_le_bytes)), meant);
    let said = token(b"open\r\nsesame\r\n").unwrap_err();
    assert!(said.ends_with("the file has more than one line; it holds the secret and nothing else"), "{said}");
    let said = token(b"open\xfcsesame\n").unwrap_err();
    assert!(said.contains("line 1, column 5: a letter that is not UTF-8") && !said.contains("sesame"), "{said}");
    let said = token(b"\xef\xbb\xbf\r\n").unwrap_err();
    assert!(said.ends_with("the file is empty"), "{said}");
    // A variable from a file with CR LF.
    std::fs::write(&path, format!("{RULES}{group}")).unwrap();
    let variables = HashMap::from([("TWILIO_AUTH_TOKEN", "0123456789abcdef\r"), ("RINGBACK_TOKEN", "open sesame\r")]);
    let config = Config::load(&path, &variables).unwrap();
    assert_eq!(config.agent.token.unwrap().expose_secret(), "open sesame");
    let nothing = HashMap::from([("TWILIO_AUTH_TOKEN", "\r")]);
    let said = Config::load(&path, &nothing).unwrap_err().to_string();
    assert!(said.contains("no credentials"), "{said}");
}

fn replay(bytes: &[u8]) -> (Option<i32>, String) {
    let folder = Folder::new();
    let path = folder.path().join("ringback.toml");
    std::fs::write(&path, format!("{RULES}[[group]]\nname = \"g\"\nnumbers = [\"+15005550100\"]\n")).unwrap();
    std::fs::write(folder.path().join("log.jsonl"), bytes).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["replay", "--config", "ringback.toml", "--events", "log.jsonl", "--decisions", "-"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn recordings_are_read_as_editors_save_them() {
    let probe = concat!(
        r#"{"seen_at":"2026-11-21T09:00:00Z","kind":"probe","#,
        r#""resource":{"number":"+15005550100","channel":"voice","result":"success"}}"#
    );
    let (_, said) = replay(format!("\u{feff}{probe}\r\n\r\nnonsense\r\n{probe}\r\n").as_bytes());
    assert!(said.starts_with("log.jsonl: line 3: not JSON at column 2; skipped\n4 lines"), "{said}");
    assert!(said.contains(" 2 probes,") && said.contains(" 1 bad"), "{said}");
    let (code, said) = replay(&utf16(&format!("\u{feff}{probe}\r\n"), u16::to_le_bytes));
    assert_eq!(
        (code, said.as_str()),
        (Some(3), "ringback: replaying log.jsonl: the file is UTF-16: save it as UTF-8\n")
    );
    let (code, said) = replay(b"\x1f\x8b\x08\0\0\0\0\0");
    assert!(code == Some(3) && said.contains("the file is compressed"), "{said}");
    let (_, said) = replay(format!("{probe}\r{probe}\r").as_bytes());
    assert!(said.contains("line 1: ") && said.contains("it has a CR within, as if lines ended in that"), "{said}");
}

/// `kind` may stand behind `resource`, which is read later then: the column is that of the line all the same.
#[test]
fn a_value_of_the_wrong_type_is_found_in_its_line() {
    let resource = r#"{"number":"+15005550100","channel":"voice","result":"success","sid":7}"#;
    for line in [
        format!(r#"{{"seen_at":"2026-11-21T09:00:00Z","note":"Büro","kind":"probe","resource":{resource}}}"#),
        format!(r#"{{"seen_at":"2026-11-21T09:00:00Z","note":"Büro","resource":{resource},"kind":"probe"}}"#),
    ] {
        let at = line[..line.find(r#":7}"#).unwrap()].chars().count() + 2;
        let (_, said) = replay(format!("{line}\n").as_bytes());
        assert!(
            said.starts_with(&format!("log.jsonl: line 1: a value of the wrong type at column {at};")),
            "{at} {said}"
        );
    }
}

#[test]
fn a_scenario_is_read_as_editors_save_it() {
    let folder = Folder::new();
    let said = |bytes: &[u8]| {
        std::fs::write(folder.path().join("day.toml"), bytes).unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["sim", "--scenario", "day.toml", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, plain) = said(b"nonsense = 1\n");
    assert!(code == Some(2) && plain.starts_with("day.toml:line 1, column 1: "), "{plain}");
    assert_eq!(said("\u{feff}nonsense = 1\r\n".as_bytes()), (code, plain.clone()));
    assert_eq!(said(&utf16("\u{feff}nonsense = 1\r\n", u16::to_le_bytes)), (code, plain));
    let (code, said) = said(b"seed = 1\r\n# B\xfcro\r\n");
    assert!(code == Some(2) && said.starts_with("day.toml: line 2, column 4: a letter that is not UTF-8"), "{said}");
}
