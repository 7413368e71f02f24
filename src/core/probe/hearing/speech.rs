//! Speech: voiced sound whose pitch moves.
//!
//! A voice repeats itself 70 to 400 times a second, and what repeats itself shows against itself some
//! milliseconds later, also in noise as loud as the voice. A tone does so as well but keeps its pitch;
//! a voice never does, for longer than a moment. Whispering has no pitch and is not found.

use super::window::Spectra;
use super::{QUIETEST, RATE, SoundKind, Span};

/// 50 ms: some periods of the lowest voice.
const WINDOW: usize = 400;
/// 20 ms.
const HOP: usize = 160;

/// Where a voice is strongest, in Hz. Leaving out the rest leaves out most of the noise.
const VOICE: [f32; 2] = [80.0, 1200.0];
/// Pitch of voices, in Hz.
const PITCH: [f32; 2] = [70.0, 400.0];
/// Least likeness of a window with itself one period later.
const LIKENESS: f32 = 0.5;
/// A pitch moves by less than this from window to window, as a share.
const GLIDE: f32 = 0.12;
/// And by more than this while a stretch lasts: tones do not.
const MOVES: f32 = 0.015;
/// Windows that a voiced stretch takes: 60 ms and the window.
const SHORTEST: usize = 3;
/// A stretch that goes on for longer than this is a buzz if its pitch stays within [`MONOTONE`].
const BREATH: usize = 75;
const MONOTONE: f32 = 0.03;
/// Words lie closer together than this, in samples.
const PAUSE: u32 = RATE / 2;
/// Least voiced time in an utterance, in windows: 240 ms.
const UTTERANCE: usize = 12;
/// Kept away from tones: their ends repeat themselves as well.
const MARGIN: u32 = RATE / 16;

/// The speech of a channel, beside what was `found` there already.
pub fn find(signal: &[f32], found: &[(SoundKind, Span)]) -> Vec<(SoundKind, Span)> {
    let mut stretches: Vec<(usize, Span)> = Vec::new();
    let mut row: Vec<(usize, f32)> = Vec::new();
    for (nth, pitch) in pitches(signal).into_iter().enumerate() {
        let middle = (nth * HOP + WINDOW / 2) as u32;
        let is_free = !found.iter().any(|(_, s)| s.from <= middle + MARGIN && middle <= s.to + MARGIN);
        let pitch = pitch.filter(|_| is_free);
        let goes_on = match (pitch, row.last()) {
            (Some(hz), Some((_, before))) => (hz - before).abs() <= GLIDE * before,
            _ => false,
        };
        if !goes_on {
            stretches.extend(stretch(&row));
            row.clear();
        }
        row.extend(pitch.map(|hz| (nth, hz)));
    }
    stretches.extend(stretch(&row));
    stretches
        .chunk_by(|a, b| b.1.from.saturating_sub(a.1.to) <= PAUSE)
        .filter(|words| words.iter().map(|w| w.0).sum::<usize>() >= UTTERANCE)
        .map(|words| (SoundKind::Speech, Span { from: words[0].1.from, to: words[words.len() - 1].1.to }))
        .collect()
}

/// A voiced stretch, if it is a voice: how many windows, and where.
fn stretch(row: &[(usize, f32)]) -> Option<(usize, Span)> {
    let ((first, _), (last, _)) = (row.first()?, row.last()?);
    let low = row.iter().map(|w| w.1).fold(f32::MAX, f32::min);
    let high = row.iter().map(|w| w.1).fold(0.0, f32::max);
    let moves = (high - low) / low;
    let least = if row.len() > BREATH { MONOTONE } else { MOVES };
    let span = Span { from: (first * HOP) as u32, to: (last * HOP + WINDOW) as u32 };
    (row.len() >= SHORTEST && moves >= least).then_some((row.len(), span))
}

/// The pitch of each window that has one.
fn pitches(signal: &[f32]) -> Vec<Option<f32>> {
    let mut spectra = Spectra::new(WINDOW, WINDOW);
    let fading = spectra.fading();
    let lags = [(RATE as f32 / PITCH[1]) as usize, (RATE as f32 / PITCH[0]) as usize];
    let windows = signal.len().saturating_sub(WINDOW) / HOP + 1;
    (0..windows)
        .map(|nth| {
            let samples = &signal[nth * HOP..(nth * HOP + WINDOW).min(signal.len())];
            let (likeness, power) = spectra.likeness(samples, VOICE[0], VOICE[1]);
            if power < QUIETEST {
                return None;
            }
            let at = |lag: usize| likeness[lag] / fading[lag];
            let top = (lags[0]..=lags[1])
                .filter(|&lag| at(lag) >= at(lag - 1) && at(lag) >= at(lag + 1))
                .max_by(|&a, &b| at(a).total_cmp(&at(b)))?;
            if at(top) < LIKENESS {
                return None;
            }
            let (a, b, c) = (at(top - 1), at(top), at(top + 1));
            let bend = a - 2.0 * b + c;
            let offset = if bend < 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
            Some(RATE as f32 / (top as f32 + offset))
        })
        .collect()
}
