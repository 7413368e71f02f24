//! The screen as it is drawn, in the sizes that people have: `RINGBACK_BLESS=1 cargo test --lib watch` writes it anew.

use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens")
}

fn watch() -> Watch {
    let asked = StatusSelection { group: None, numbers: Vec::new() };
    Watch {
        asked,
        typed: Typed::by("ringback", Path::new("ringback.toml")),
        config: PathBuf::new(),
        is_all: false,
        until: None,
    }
}

/// What an agent said while a group's callers failed.
fn seen() -> Box<SeenStatus> {
    let text = std::fs::read_to_string(folder().join("status.json")).unwrap();
    Box::new(serde_json::from_str(&text).unwrap())
}

/// What is on a screen of this size.
fn drawn(screen: &mut Screen, now: Time, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(&watch(), frame, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(row).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn the_screens_are_as_they_were_looked_at() {
    let mut wrong = Vec::new();
    for (width, height) in [(40, 20), (80, 24), (200, 50)] {
        for (name, silence) in [("", None), ("-gone", Some("the agent at 127.0.0.1:9466 does not answer".to_owned()))] {
            let seen = seen();
            let now = seen.at + Duration::from_secs(if silence.is_some() { 75 } else { 1 });
            let mut screen = Screen { seen: Some(seen), silence, ..Screen::default() };
            let is = drawn(&mut screen, now, width, height);
            let path = folder().join(format!("watch-{width}x{height}{name}.txt"));
            if std::env::var_os("RINGBACK_BLESS").is_some() {
                std::fs::write(&path, &is).unwrap();
            } else if std::fs::read_to_string(&path).unwrap_or_default() != is {
                wrong.push(format!("{}:\n{is}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_terminal_without_room_is_drawn_all_the_same() {
    for (width, height) in [(1, 1), (5, 3), (12, 2), (14, 40)] {
        let seen = seen();
        let now = seen.at;
        let silence = Some("nobody answers".to_owned());
        let mut screen = Screen { seen: Some(seen), silence, is_all: true, ..Screen::default() };
        assert_eq!(drawn(&mut screen, now, width, height).lines().count(), usize::from(height));
    }
}

/// The palette of xterm, as red, green and blue.
fn rgb(colour: Color) -> [f64; 3] {
    let looked_at = [(Color::Red, [205.0, 0.0, 0.0]), (Color::Magenta, [205.0, 0.0, 205.0])];
    let found = looked_at.iter().find(|(known, _)| *known == colour).map(|(_, rgb)| *rgb);
    found.unwrap_or_else(|| panic!("nobody has looked whether {colour:?} can be read on white and on black"))
}

fn luminance(rgb: [f64; 3]) -> f64 {
    let [r, g, b] = rgb.map(|c| {
        let c = c / 255.0;
        if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[test]
fn nothing_vanishes_on_a_light_or_a_dark_background() {
    let screen = Screen { is_coloured: true, ..Screen::default() };
    for style in [Style::Plain, Style::Strong, Style::Bad, Style::Warning, Style::Good, Style::Quiet, Style::Command] {
        let drawn = screen.style(style);
        assert_eq!(drawn.bg, None, "{style:?}: the background is the terminal's own");
        let Some(colour) = drawn.fg else { continue };
        let own = luminance(rgb(colour));
        let (on_white, on_black) = (1.05 / (own + 0.05), (own + 0.05) / 0.05);
        assert!(on_white >= 3.0 && on_black >= 3.0, "{style:?}: {on_white:.1} on white, {on_black:.1} on black");
    }
}

#[test]
fn a_command_is_run_as_a_shell_would() {
    assert_eq!(
        words("ringback hold --all --reason 'we are looking'"),
        ["ringback", "hold", "--all", "--reason", "we are looking"]
    );
}
