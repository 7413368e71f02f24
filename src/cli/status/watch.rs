//! `ringback status --watch`: the same on a screen that moves, with its commands a key away; without a terminal the
//! same text again whenever something has changed.
//!
//! A thread of its own asks the agent, so that keys are answered while the agent is not. The terminal is given back
//! however this ends: by a key, a signal or a panic.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style as ScreenStyle};
use ratatui::text::{Line, Span};
use ratatui::{DefaultTerminal, Frame};

use super::seen::{SeenStatus, StatusSelection};
use super::view::{StatusView, span};
use super::{StatusAnswer, look};
use crate::cli::desk::{AgentClient, Typed};
use crate::cli::signals::Signals;
use crate::cli::text::{Shape, Style, TextLine, has_colours, wrapped};
use crate::cli::{Exit, complain, say};
use crate::clock::Clock;
use crate::core::model::time::Time;

/// Between two questions to the agent.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Between two looks whether a key was pressed: what is drawn is no older than this.
const FRAME: Duration = Duration::from_millis(200);

/// What is watched, and until when.
pub struct Watch {
    pub asked: StatusSelection,
    pub typed: Typed,
    pub config: PathBuf,
    pub is_all: bool,
    /// Until nothing is under way, and for how long at the most.
    pub until: Option<Option<Duration>>,
}

/// What came of asking.
enum News {
    Seen(Box<SeenStatus>),
    /// Nobody answers, or somebody else does.
    Nothing(String),
    Signal,
}

/// Asks until nobody listens any more.
fn ask(client: &AgentClient, news: &Sender<News>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut signals = Signals::listen()?;
        let clock = Clock::system();
        loop {
            let looked = async {
                let news = match look(client).await {
                    Ok((_, Some(doubt))) => News::Nothing(doubt),
                    Ok((StatusAnswer::Seen(seen, _), None)) => News::Seen(seen),
                    Ok((StatusAnswer::StandsBy(text, _), None)) => News::Nothing(text),
                    Err(error) => News::Nothing(format!("{error:#}")),
                };
                (news, clock.now())
            };
            let (what, at) = tokio::select! {
                biased;
                _ = signals.next() => (News::Signal, clock.now()),
                looked = looked => looked,
            };
            if news.send(what).is_err() {
                return Ok(());
            }
            let is_stopped = clock.wait(Some(at + LOOK_EVERY), signals.next()).await.is_some();
            if is_stopped && news.send(News::Signal).is_err() {
                return Ok(());
            }
        }
    })
}

impl Watch {
    pub fn run(self, client: AgentClient) -> anyhow::Result<Exit> {
        let (sender, news) = channel();
        std::thread::Builder::new()
            .name("status".to_owned())
            .spawn(move || {
                if let Err(error) = ask(&client, &sender) {
                    // Whoever listens may have gone away.
                    let _ = sender.send(News::Nothing(format!("{error:#}")));
                }
            })
            .context("a thread that asks the agent cannot be started")?;
        let is_screen = std::io::stdout().is_terminal()
            && std::io::stdin().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if is_screen { self.on_screen(&news) } else { self.as_text(&news) }
    }

    fn view<'a>(
        &'a self,
        seen: &'a SeenStatus,
        is_all: bool,
        width: usize,
        is_numbered: bool,
        now: Time,
    ) -> StatusView<'a> {
        let age = now.since(seen.at);
        StatusView { seen, asked: &self.asked, is_all, now, age, width, typed: &self.typed, is_numbered }
    }

    /// What is seen, as an exit code.
    fn exit(&self, seen: Option<&SeenStatus>) -> Exit {
        match seen {
            None => Exit::CouldNotRun,
            Some(seen) if self.view(seen, false, 80, false, seen.at).troubles().any(|t| t.is_trouble()) => {
                Exit::FoundTrouble
            }
            Some(_) => Exit::Done,
        }
    }

    /// How it ends here and now, if it does.
    fn ended(&self, began: Time, seen: Option<&SeenStatus>) -> Option<Exit> {
        let timeout = self.until?;
        if let Some(seen) = seen.filter(|seen| seen.is_settled()) {
            return Some(self.exit(Some(seen)));
        }
        let is_over = timeout.is_some_and(|t| began + t <= Clock::system().now());
        is_over.then(|| {
            complain("ringback: it has not settled in time");
            Exit::FoundTrouble.max(self.exit(seen))
        })
    }

    fn as_text(&self, news: &Receiver<News>) -> anyhow::Result<Exit> {
        let (began, shape) = (Clock::system().now(), Shape::of_output());
        let mut said = BTreeSet::new();
        let mut latest: Option<Box<SeenStatus>> = None;
        let mut silence = String::new();
        loop {
            match news.recv_timeout(FRAME) {
                Ok(News::Signal) => return Ok(self.exit(latest.as_deref())),
                Ok(News::Nothing(why)) => {
                    if why != silence {
                        complain(&format!("ringback: {why}"));
                        silence = why;
                    }
                    latest = None;
                }
                Ok(News::Seen(seen)) => {
                    silence.clear();
                    if let Some(unknown) = self.asked.unknown(&seen) {
                        complain(&format!("ringback: {unknown}"));
                        return Ok(Exit::BadUsage);
                    }
                    let view = self.view(&seen, self.is_all, shape.width, false, Clock::system().now());
                    // What makes news of it; times pass by themselves.
                    let now: BTreeSet<String> = view
                        .troubles()
                        .map(|t| format!("{} {} {:?} {:?} {:?}", t.key, t.title, t.numbers, t.done, t.proof))
                        .collect();
                    if latest.is_none() && said.is_empty() || now != said {
                        let lines = view.lines();
                        let text = lines.iter().map(|l| l.printed(shape.is_coloured)).collect::<Vec<_>>().join("\n");
                        say(&format!("{text}\n"))?;
                        said = now;
                    }
                    latest = Some(seen);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody asks the agent any more"),
            }
            if let Some(exit) = self.ended(began, latest.as_deref()) {
                return Ok(exit);
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn on_screen(&self, news: &Receiver<News>) -> anyhow::Result<Exit> {
        let began = Clock::system().now();
        let mut screen = Screen { is_all: self.is_all, is_coloured: has_colours(), ..Screen::default() };
        let mut terminal = ratatui::try_init().context("the terminal cannot be taken")?;
        let mut run = || -> anyhow::Result<Exit> {
            loop {
                loop {
                    let what = match news.try_recv() {
                        Ok(what) => what,
                        Err(TryRecvError::Empty) => break,
                        // What is shown would grow old without a word.
                        Err(TryRecvError::Disconnected) => anyhow::bail!("nobody asks the agent any more"),
                    };
                    match what {
                        News::Signal => return Ok(self.exit(screen.seen.as_deref())),
                        News::Nothing(why) => screen.silence = Some(why),
                        News::Seen(seen) => {
                            if let Some(unknown) = self.asked.unknown(&seen) {
                                ratatui::restore();
                                complain(&format!("ringback: {unknown}"));
                                return Ok(Exit::BadUsage);
                            }
                            (screen.seen, screen.silence) = (Some(seen), None);
                        }
                    }
                }
                if let Some(exit) = self.ended(began, screen.seen.as_deref()) {
                    return Ok(exit);
                }
                terminal.draw(|frame| screen.draw(self, frame, Clock::system().now()))?;
                if !event::poll(FRAME)? {
                    continue;
                }
                let Event::Key(key) = event::read()? else { continue };
                if key.kind == KeyEventKind::Release {
                    continue;
                }
                let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('c') if is_control => return Ok(self.exit(screen.seen.as_deref())),
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(self.exit(screen.seen.as_deref())),
                    KeyCode::Char('a') => screen.is_all = !screen.is_all,
                    KeyCode::Char(digit @ '1'..='9') => {
                        let n = digit.to_digit(10).unwrap_or(1) as usize;
                        if let Some(command) = screen.command(self, n) {
                            self.type_it(&mut terminal, &command)?;
                        }
                    }
                    key => screen.scroll(key),
                }
            }
        };
        let ended = run();
        ratatui::restore();
        ended
    }

    /// Runs one of the commands that are shown, on the terminal as it was before, once a person says yes.
    fn type_it(&self, terminal: &mut DefaultTerminal, command: &str) -> anyhow::Result<()> {
        ratatui::restore();
        say(&format!("$ {}", self.typed.command(command)))?;
        let answer = asked("Run it? [y/N] ")?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            let mut child = std::process::Command::new(std::env::current_exe()?);
            child.args(words(command).into_iter().skip(1)).arg("--config").arg(&self.config);
            let ended = child.status().context("the command cannot be run")?;
            say(&format!(
                "It ended with {}.",
                ended.code().map_or("a signal".to_owned(), |code| format!("exit code {code}"))
            ))?;
            asked("Enter goes back. ")?;
        }
        *terminal = ratatui::try_init().context("the terminal cannot be taken")?;
        terminal.clear()?;
        Ok(())
    }
}

/// What a person types in answer.
fn asked(question: &str) -> anyhow::Result<String> {
    let mut out = std::io::stdout().lock();
    write!(out, "{question}")?;
    out.flush()?;
    drop(out);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

/// The words of a command as a shell takes them, as far as ours are written: with single quotation marks.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in command.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

/// What is on the screen.
#[derive(Default)]
struct Screen {
    seen: Option<Box<SeenStatus>>,
    /// Why there is no answer now.
    silence: Option<String>,
    is_all: bool,
    is_coloured: bool,
    /// The first line that is shown, and how far it may go.
    top: usize,
    most: usize,
    page: usize,
}

impl Screen {
    fn command(&self, watch: &Watch, n: usize) -> Option<String> {
        let seen = self.seen.as_ref()?;
        let view = watch.view(seen, self.is_all, 80, true, seen.at);
        view.commands().into_iter().nth(n - 1)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn scroll(&mut self, key: KeyCode) {
        let page = self.page.saturating_sub(1).max(1);
        self.top = match key {
            KeyCode::Down | KeyCode::Char('j') => self.top + 1,
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top + page,
            KeyCode::PageUp | KeyCode::Char('b') => self.top.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => self.most,
            _ => self.top,
        }
        .min(self.most);
    }

    fn draw(&mut self, watch: &Watch, frame: &mut Frame<'_>, now: Time) {
        let area = frame.area();
        let width = usize::from(area.width);
        let (head, body) = match &self.seen {
            Some(seen) => {
                let view = watch.view(seen, self.is_all, width, true, now);
                (view.verdict(), view.body())
            }
            None => (vec![TextLine::plain("Asking the agent…")], Vec::new()),
        };
        let mut lines: Vec<TextLine> = Vec::new();
        if let Some(why) = &self.silence {
            let old = self
                .seen
                .as_ref()
                .map_or(String::new(), |seen| format!(" What follows is {} old.", span(now.since(seen.at))));
            let text = format!("NOT CONNECTED: {why}.{old}");
            lines.extend(wrapped(&text, width).into_iter().map(|l| TextLine::new(Style::Bad, l)));
        }
        lines.extend(head);
        let foot = if width < 60 {
            "q quit  ↑↓ move  a all  1-9 run"
        } else {
            "q quits   ↑ ↓ move   a every number   1-9 run that command"
        };
        let rows = usize::from(area.height).saturating_sub(lines.len() + 1);
        self.page = rows;
        self.most = body.len().saturating_sub(rows);
        self.top = self.top.min(self.most);
        let below = self.most - self.top;
        lines.extend(body.into_iter().skip(self.top).take(rows));
        let draw = |frame: &mut Frame<'_>, row: u16, line: &TextLine| {
            if row < area.height {
                frame.render_widget(self.line(line), Rect { y: area.y + row, height: 1, ..area });
            }
        };
        for (row, line) in (0..).zip(&lines) {
            draw(frame, row, line);
        }
        let more = match below {
            0 => String::new(),
            lines if width < 60 => format!(" {lines}↓"),
            lines => format!("   {lines} lines below"),
        };
        draw(frame, area.height.saturating_sub(1), &TextLine::new(Style::Quiet, format!("{foot}{more}")));
    }

    fn line<'l>(&self, line: &'l TextLine) -> Line<'l> {
        let part = |(style, text): &'l (Style, String)| Span::styled(text.as_str(), self.style(*style));
        Line::from(line.0.iter().map(part).collect::<Vec<_>>())
    }

    fn style(&self, style: Style) -> ScreenStyle {
        let plain = ScreenStyle::new();
        let coloured = |colour: Color| if self.is_coloured { plain.fg(colour) } else { plain };
        match style {
            Style::Plain | Style::Good => plain,
            Style::Strong => plain.add_modifier(Modifier::BOLD),
            Style::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Style::Warning => coloured(Color::Magenta).add_modifier(Modifier::BOLD),
            Style::Quiet => plain.add_modifier(Modifier::DIM),
            Style::Command => plain.add_modifier(Modifier::UNDERLINED),
        }
    }
}

#[cfg(test)]
mod tests;
