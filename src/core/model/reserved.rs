//! Names that are the machine's own: what the journal says was done by `ringback` or by the `detector` was done by no
//! person, and whoever has a token must not be able to say so of what they did.
//!
//! A name is what a reader takes it for. So it is compared without what is not seen in it, blanks and signs, and with
//! each letter that looks like another one as that one: those of the reserved names, which are few.

/// Whom entries of the machine's own name.
const RESERVED: [&str; 2] = ["ringback", "detector"];

/// What looks like each letter of these, beside itself in capitals and in full width.
const LIKE: [(char, &str); 11] = [
    ('a', "àáâãäåāăąǎȧạαаɑ4@ᴀⲁ"),
    ('b', "ƀɓβвьЬß8ʙᏏ"),
    ('c', "çćĉċčсϲᴄⅽ¢"),
    ('d', "ďđɖɗԁⅾᴅ"),
    ('e', "èéêëēĕėęěẹеєэεℯ3ᴇ"),
    ('g', "ĝğġģǧɡց9ɢ"),
    ('i', "ìíîïĩīĭįıǐịіїιⅰ1l|!ӏɪɩ"),
    ('k', "ķǩκкĸᴋ"),
    ('n', "ñńņňŉηпոɴ"),
    ('o', "òóôõöøōŏőǒọοоσօ0ᴏ"),
    ('r', "ŕŗřгʀᴦ"),
];

/// The same of a letter that only `detector` has.
const LIKE_T: &str = "ţťŧțτт7+ᴛ";

/// True if people would take this name for one of the machine's own.
pub fn is_reserved(name: &str) -> bool {
    // A sign in the place of a letter is that letter, and elsewhere it is none.
    let read = |is_sign: fn(char) -> bool| {
        let seen = name.chars().flat_map(char::to_lowercase).filter(|c| !is_sign(*c));
        seen.filter_map(folded).collect::<String>()
    };
    [read(|_| false), read(|c| c.is_ascii_punctuation())].iter().any(|name| RESERVED.contains(&name.as_str()))
}

/// The letter that a character is read as; `None` of what is not read.
fn folded(c: char) -> Option<char> {
    // Full width: the same as ASCII, further on.
    let c = match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0)?.to_ascii_lowercase(),
        _ => c,
    };
    let like = LIKE.iter().find(|(letter, like)| *letter == c || like.contains(c)).map(|(letter, _)| *letter);
    match like {
        Some(letter) => Some(letter),
        None if LIKE_T.contains(c) => Some('t'),
        // Another script's letter, or a digit, makes it another name.
        None => c.is_alphanumeric().then_some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_like_the_machines_own_names_is_reserved_and_nothing_else() {
        for name in [
            "ringback",
            "ringback!",
            "r!ngback",
            "Ringback",
            " DETECTOR ",
            "ring back",
            "r-i-n-g_b.a.c.k",
            "detector.",
            "Ringb\u{430}ck",
            "d\u{435}t\u{435}\u{441}tor",
            "r1ngback",
            "rlngback",
            "DETECT0R",
            "ring\u{200b}back",
            "\u{202e}detector",
            "ｒｉｎｇｂａｃｋ",
            "détector",
            "de\u{301}tector",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["alice", "operator", "ringback admin", "ringo", "the detectors", "Ринат", "", "ringback2"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
