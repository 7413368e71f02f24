//! Call-progress tones, special information tones and single steady tones.
//!
//! A window counts as a tone if one or two peaks hold a good part of its power and nothing else stands
//! out: noise has no peaks, speech has many. Windows that agree make a burst; the lengths of bursts and
//! gaps make the cadence, and the cadence tells busy from reorder.
//!
//! Sources: ITU-T E.180/Q.35 for Europe and most of the world (400 to 450 Hz, preferably 425) and for
//! the special information tones; the Precise Tone Plan (Telcordia GR-506) for North America (ringing
//! 440+480, busy and reorder 480+620); BT SIN 350 for the United Kingdom (ringing 400+450).

use super::window::{Outline, Spectra};
use super::{QUIETEST, RATE, SoundKind, Span};

/// 100 ms: 440 and 480 Hz are two peaks then, and a pause of reorder (250 ms) is still one.
const WINDOW: usize = 800;
/// 25 ms.
const HOP: usize = 200;

/// Least share of a window's power in its tone. Half would be noise as loud as the tone.
const SHARE: f32 = 0.22;
/// The next peak, against the weakest of the tone: noise has some, voices have more.
const RIVAL: f32 = 0.4;
/// The weaker of two frequencies has at least this share of the stronger: 10 dB.
const TWIST: f32 = 0.1;
/// How far a frequency may be off, in Hz. E.180 allows 425±15; noise moves a peak by a few.
const OFF: f32 = 12.0;

/// Two frequencies at once: nothing else on a line has these.
const PAIRS: [(Label, f32, f32); 4] = [
    (Label::Ringing, 440.0, 480.0),
    (Label::Ringing, 400.0, 450.0),
    (Label::Busy, 480.0, 620.0),
    (Label::Dial, 350.0, 440.0),
];

/// Frequencies of E.180's single tones, in Hz.
pub const E180: [f32; 2] = [400.0, 450.0];

/// Middle frequencies of the special information tones, each ±50 Hz and played for 330±70 ms: E.180,
/// 7.4. North America's 913.8/985.2, 1370.6/1428.5 and 1776.7 Hz for 274 or 380 ms lie within.
pub const SPECIAL: [f32; 3] = [950.0, 1400.0, 1800.0];
pub const SPECIAL_OFF: f32 = 65.0;
/// In samples. The window blurs their ends.
const SPECIAL_LASTS: [u32; 2] = [ms(170), ms(500)];
/// E.180 allows 30 ms.
const SPECIAL_GAP: u32 = ms(150);

/// A tone keeps its frequency, voices glide: between the lowest and the highest tenth of its windows there
/// are at most so many Hz. Noise as loud as the tone moves it by less than one.
const STEADINESS: f32 = 6.0;

/// A burst is at least this long: the shortest of any cadence here is 200 ms.
const SHORTEST: u32 = ms(150);
/// A cycle of busy tone is longer than this and of reorder shorter: 1 s and 0.5 s in North America and
/// mostly elsewhere, 0.75 s and less for busy in a few countries (E.180, Annex).
const FAST: u32 = ms(650);
/// No cycle of busy is longer.
const SLOWEST: u32 = ms(1500);
/// Cycles of one tone differ by less than this share from the middle one.
const REGULAR: f32 = 0.2;
/// A burst of busy or reorder.
const BUSY_BURST: [u32; 2] = [ms(120), ms(750)];
/// A burst of single-frequency ringing: 0.67 to 2.5 s, E.180.
const RINGING_BURST: [u32; 2] = [ms(550), ms(2600)];
/// What follows it, if the recording goes on: E.180 has 3 to 5 s, its tolerance 2.
const RINGING_PAUSE: u32 = ms(1900);
/// A steady tone is one from here on: no vowel holds its pitch so long.
const STEADY: u32 = ms(400);
/// Below this, in Hz, lie the strong harmonics of voices, which a drawn-out vowel may hold for half a second.
/// No marker lies there, and what is a tone lasts.
const VOICED: f32 = 640.0;
const STEADY_VOICED: u32 = ms(1000);

const fn ms(ms: u32) -> u32 {
    ms * (RATE / 1000)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Label {
    Ringing,
    Busy,
    Dial,
    Single(f32),
}

impl Label {
    /// Whether a burst of this may go on with that.
    fn goes_on(self, next: Label) -> bool {
        match (self, next) {
            (Label::Single(a), Label::Single(b)) => (a - b).abs() <= OFF,
            (a, b) => a == b,
        }
    }
}

/// A tone without a pause.
#[derive(Clone, Copy, Debug)]
struct Burst {
    label: Label,
    span: Span,
}

/// The tones of a channel.
pub fn find(signal: &[f32]) -> Vec<(SoundKind, Span)> {
    let bursts = bursts(signal);
    let end = signal.len() as u32;
    let mut found = special(&bursts);
    let of =
        |is: &dyn Fn(Label) -> bool| -> Vec<Span> { bursts.iter().filter(|b| is(b.label)).map(|b| b.span).collect() };
    found.extend(of(&|l| l == Label::Ringing).into_iter().map(|span| (SoundKind::Ringback, span)));
    // Dial tone: what a line gives that expects digits. Nobody answered there either, but it is steady.
    found.extend(
        of(&|l| l == Label::Dial).into_iter().filter(|s| s.samples() >= STEADY).map(|s| (SoundKind::Tone(440.0), s)),
    );
    found.extend(busy(&of(&|l| l == Label::Busy), 2));
    let low = of(&|l| matches!(l, Label::Single(hz) if (E180[0] - OFF..=E180[1] + OFF).contains(&hz)));
    // A single frequency may be a voice's: it has to come again and again.
    let mut low_found = busy(&low, 3);
    for (i, span) in low.iter().enumerate() {
        let next = low.get(i + 1).map_or(end, |next| next.from);
        let pause = next.saturating_sub(span.to);
        let is_last = i + 1 == low.len();
        let long = (RINGING_BURST[0]..=RINGING_BURST[1]).contains(&span.samples());
        if long && (is_last || pause >= RINGING_PAUSE) && !covers(&low_found, *span) {
            low_found.push((SoundKind::Ringback, *span));
        }
    }
    found.extend(low_found);
    for burst in &bursts {
        if let Label::Single(hz) = burst.label
            && burst.span.samples() >= if hz < VOICED { STEADY_VOICED } else { STEADY }
            && !covers(&found, burst.span)
        {
            found.push((SoundKind::Tone(hz), burst.span));
        }
    }
    found
}

fn covers(found: &[(SoundKind, Span)], span: Span) -> bool {
    found.iter().any(|(_, f)| f.from <= span.from && span.to <= f.to)
}

/// Bursts in a row with the cycle of busy or reorder, so many at the least.
fn busy(bursts: &[Span], least: usize) -> Vec<(SoundKind, Span)> {
    let short: Vec<Span> =
        bursts.iter().copied().filter(|s| (BUSY_BURST[0]..=BUSY_BURST[1]).contains(&s.samples())).collect();
    let mut found = Vec::new();
    let mut rest = short.as_slice();
    while let [first, ..] = rest {
        let row = 1 + rest.windows(2).take_while(|w| w[1].from - w[0].from <= SLOWEST).count();
        let (these, after) = rest.split_at(row);
        rest = after;
        let mut cycles: Vec<u32> = these.windows(2).map(|w| w[1].from - w[0].from).collect();
        cycles.sort_unstable();
        let Some(&middle) = cycles.get(cycles.len() / 2) else { continue };
        if cycles.len() + 1 < least || cycles.iter().any(|c| c.abs_diff(middle) as f32 > REGULAR * middle as f32) {
            continue;
        }
        let kind = if middle > FAST { SoundKind::Busy } else { SoundKind::Reorder };
        let to = these.last().map_or(first.to, |last| last.to);
        found.push((kind, Span { from: first.from, to }));
    }
    found
}

/// Three bursts that rise as the special information tones do.
fn special(bursts: &[Burst]) -> Vec<(SoundKind, Span)> {
    let is = |burst: &Burst, nth: usize| {
        matches!(burst.label, Label::Single(hz) if (hz - SPECIAL[nth]).abs() <= SPECIAL_OFF)
            && (SPECIAL_LASTS[0]..=SPECIAL_LASTS[1]).contains(&burst.span.samples())
    };
    let close = |a: &Burst, b: &Burst| b.span.from <= a.span.to + SPECIAL_GAP;
    bursts
        .windows(3)
        .filter(|w| (0..3).all(|nth| is(&w[nth], nth)) && close(&w[0], &w[1]) && close(&w[1], &w[2]))
        .map(|w| (SoundKind::SpecialInformation, Span { from: w[0].span.from, to: w[2].span.to }))
        .collect()
}

/// What a window is, and the power of it.
fn label(outline: &Outline) -> Option<(Label, f32)> {
    let Outline { peaks: [first, second, third], total } = *outline;
    if total < QUIETEST {
        return None;
    }
    let both = first.power + second.power;
    if second.power >= TWIST * first.power && both >= SHARE * total && third.power <= RIVAL * second.power {
        let (low, high) = if first.hz < second.hz { (first.hz, second.hz) } else { (second.hz, first.hz) };
        let near = |(_, a, b): &&(Label, f32, f32)| (low - a).abs() <= OFF && (high - b).abs() <= OFF;
        if let Some((label, _, _)) = PAIRS.iter().find(near) {
            return Some((*label, both));
        }
    }
    (first.power >= SHARE * total && second.power <= RIVAL * first.power)
        .then_some((Label::Single(first.hz), first.power))
}

/// Whatever stays at its frequency for a while, in its order.
fn bursts(signal: &[f32]) -> Vec<Burst> {
    let mut spectra = Spectra::new(WINDOW, 0);
    let mut bursts = Vec::new();
    // The windows of the burst under way: number, label and power.
    let mut row: Vec<(usize, Label, f32)> = Vec::new();
    let count = signal.len().div_ceil(HOP);
    for nth in 0..count {
        // Half a window before the beginning there is silence, as there is after the end.
        let middle = nth * HOP;
        let from = middle.saturating_sub(WINDOW / 2);
        let to = (middle + WINDOW / 2).min(signal.len());
        let Some((label, power)) = label(&spectra.outline(&signal[from..to])) else { continue };
        if let Some((last, before, _)) = row.last()
            && !(before.goes_on(label) && nth - last <= 2)
        {
            bursts.extend(burst(&row, signal.len()));
            row.clear();
        }
        row.push((nth, label, power));
    }
    bursts.extend(burst(&row, signal.len()));
    bursts
}

/// The burst of windows that agree. It begins and ends where the window is half in it: where half the
/// amplitude is left, so a quarter of the power.
fn burst(row: &[(usize, Label, f32)], length: usize) -> Option<Burst> {
    let mut powers: Vec<f32> = row.iter().map(|w| w.2).collect();
    powers.sort_unstable_by(f32::total_cmp);
    // Nearly the highest, so that one loud window does not hide the others.
    let full = *powers.get(powers.len().saturating_sub(1) * 3 / 4)?;
    let inside: Vec<&(usize, Label, f32)> = row.iter().filter(|w| w.2 >= 0.25 * full).collect();
    let (first, last) = (inside.first()?, inside.last()?);
    let label = match inside[inside.len() / 2].1 {
        Label::Single(_) => {
            let hz = |w: &&(usize, Label, f32)| if let Label::Single(hz) = w.1 { Some(hz) } else { None };
            let mut hz: Vec<f32> = inside.iter().filter_map(hz).collect();
            hz.sort_unstable_by(f32::total_cmp);
            let tenth = hz.len() / 10;
            if hz.get(hz.len().checked_sub(1 + tenth)?)? - hz.get(tenth)? > STEADINESS {
                return None;
            }
            Label::Single(*hz.get(hz.len() / 2)?)
        }
        pair @ (Label::Ringing | Label::Busy | Label::Dial) => pair,
    };
    let from = (first.0 * HOP).saturating_sub(HOP / 2) as u32;
    let to = (last.0 * HOP + HOP / 2).min(length) as u32;
    let span = Span { from, to };
    (span.samples() >= SHORTEST).then_some(Burst { label, span })
}
