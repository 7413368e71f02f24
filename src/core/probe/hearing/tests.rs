//! Marks, verdicts and the edges of the analysis. How well sounds are told apart is measured on sounds
//! made by others (`tests/strangers/audio`).

use std::f32::consts::TAU;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// `ms` of a few frequencies.
fn tone(ms: usize, hertz: &[f32]) -> Vec<i16> {
    let sample = |i: usize| hertz.iter().map(|hz| 3000.0 * (TAU * hz * i as f32 / 8000.0).sin()).sum::<f32>() as i16;
    (0..ms * 8).map(sample).collect()
}

fn five() -> Vec<i16> {
    [tone(300, &[]), tone(100, &[770.0, 1336.0]), tone(1600, &[])].concat()
}

fn heard(channels: Vec<Vec<i16>>) -> Heard {
    listen(&Recording::new(RATE, channels).unwrap())
}

fn said(channels: Vec<Vec<i16>>, expected: &Expectation) -> Result<(), &'static str> {
    judge(&heard(channels), expected).map_err(HeardFault::label)
}

fn marker(text: &str) -> Expectation {
    Expectation { marker: Some(text.parse().unwrap()), ..Expectation::default() }
}

fn heard_as(sounds: &[(SoundKind, u32)]) -> Heard {
    let mut at = 0;
    let sound = |(kind, ms): &(SoundKind, u32)| {
        let span = Span { from: at, to: at + ms * 8 };
        at = span.to;
        Sound { kind: *kind, channel: 0, span }
    };
    let sounds: Vec<Sound> = sounds.iter().map(sound).collect();
    Heard { duration: Duration::from_secs(10), sounds }
}

#[test]
fn a_digit_is_heard_on_whichever_channel_with_its_place() {
    for (channel, channels) in [(0, vec![five()]), (0, vec![five(), vec![0; 16_000]]), (1, vec![vec![0; 9000], five()])]
    {
        let heard = heard(channels);
        let digits: Vec<&Sound> = heard.sounds.iter().filter(|s| matches!(s.kind, SoundKind::Digit(_))).collect();
        assert_eq!(digits.len(), 1);
        assert_eq!((digits[0].kind, digits[0].channel), (SoundKind::Digit(Digit::from_char('5').unwrap()), channel));
        let span = digits[0].span;
        assert!(span.from.abs_diff(2400) < 160 && span.to.abs_diff(3200) < 160, "{span:?}");
        assert_eq!(judge(&heard, &marker("dtmf:5")), Ok(()));
        assert_eq!(judge(&heard, &marker("dtmf:6")), Err(HeardFault::WrongMarker));
    }
}

#[test]
fn the_same_key_twice_is_two_digits() {
    let twice = [five(), five()].concat();
    assert_eq!(heard(vec![twice]).digits(0).len(), 2);
}

#[test]
fn a_marker_split_between_channels_is_none() {
    let four = [tone(300, &[]), tone(100, &[770.0, 1209.0]), tone(1600, &[])].concat();
    assert_eq!(said(vec![four.clone(), five()], &marker("dtmf:45")), Err("wrong_marker"));
    assert_eq!(said(vec![[four, five()].concat()], &marker("dtmf:45")), Ok(()));
}

#[test]
fn a_tone_marker_is_heard_within_its_tolerance() {
    let clip = [tone(500, &[]), tone(500, &[1100.0]), tone(500, &[])].concat();
    assert_eq!(said(vec![clip.clone()], &marker("tone:1100")), Ok(()));
    assert_eq!(said(vec![clip.clone()], &marker("tone:1110")), Ok(()));
    assert_eq!(said(vec![clip], &marker("tone:1200")), Err("wrong_marker"));
    let short = [tone(500, &[]), tone(300, &[1100.0]), tone(500, &[])].concat();
    assert_eq!(said(vec![short], &marker("tone:1100")), Err("dead_air"));
}

#[test]
fn silence_is_dead_air_only_if_sound_was_wanted() {
    let silence = || vec![vec![0; 40_000], vec![3; 40_000]];
    assert_eq!(said(silence(), &Expectation { speech: true, ..Expectation::default() }), Err("dead_air"));
    assert_eq!(said(silence(), &marker("dtmf:5")), Err("dead_air"));
    assert_eq!(said(silence(), &Expectation::default()), Ok(()));
    let least = Expectation { min_duration: Some(Duration::from_secs(6)), ..Expectation::default() };
    assert_eq!(said(silence(), &least), Err("too_short"));
    let spans: Vec<Span> = heard(silence()).sounds.iter().map(|s| s.span).collect();
    assert_eq!(spans, [Span { from: 0, to: 40_000 }; 2]);
}

#[test]
fn what_explains_most_is_the_reason() {
    use HeardFault::*;
    let speech = (SoundKind::Speech, 3000);
    let five = (SoundKind::Digit(Digit::from_char('5').unwrap()), 100);
    let (busy, ringing, special) =
        ((SoundKind::Busy, 3000), (SoundKind::Ringback, 2000), (SoundKind::SpecialInformation, 1000));
    let speaks = Expectation { speech: true, ..Expectation::default() };
    let both = Expectation { speech: true, ..marker("dtmf:5") };
    for (sounds, expected, verdict) in [
        (&[speech][..], &speaks, Ok(())),
        (&[ringing, speech], &speaks, Ok(())),
        (&[speech, busy], &speaks, Ok(())),
        (&[special, speech], &speaks, Err(NotInService)),
        (&[busy], &speaks, Err(BusyTone)),
        (&[ringing, busy], &speaks, Err(BusyTone)),
        (&[(SoundKind::Reorder, 3000)], &speaks, Err(ReorderTone)),
        (&[ringing], &speaks, Err(RingbackOnly)),
        (&[ringing], &Expectation::default(), Err(RingbackOnly)),
        (&[(SoundKind::Tone(1100.0), 800)], &speaks, Err(NoSpeech)),
        (&[(SoundKind::Speech, 300)], &speaks, Err(NoSpeech)),
        (&[five, speech], &both, Ok(())),
        (&[five], &both, Err(NoSpeech)),
        (&[speech], &both, Err(NoMarker)),
        (&[(SoundKind::Tone(1100.0), 800), speech], &both, Err(WrongMarker)),
        (&[special, speech], &both, Err(NotInService)),
        (&[five, special, speech], &marker("dtmf:5"), Ok(())),
        (&[(SoundKind::Silence, 9000)], &both, Err(DeadAir)),
        (&[], &both, Err(DeadAir)),
    ] {
        assert_eq!(judge(&heard_as(sounds), expected), verdict, "{sounds:?} for {expected:?}");
    }
    let labels: std::collections::BTreeSet<&str> = HeardFault::ALL.iter().map(|f| f.label()).collect();
    assert_eq!(labels.len(), HeardFault::ALL.len());
}

#[test]
fn markers_are_read_and_refused_with_the_cure() {
    for text in ["dtmf:5", "dtmf:0815*#", "tone:1100", "tone:3400"] {
        assert_eq!(text.parse::<Marker>().unwrap().to_string(), text);
    }
    for (text, problem) in [
        ("5", "\"5\" is no marker: write \"dtmf:\" and keys out of 0-9*#A-D, or \"tone:\" and a frequency in Hz"),
        (
            "dtmf:",
            "\"dtmf:\" is no marker: write \"dtmf:\" and keys out of 0-9*#A-D, or \"tone:\" and a frequency in Hz",
        ),
        ("tone:9000", "a tone of 9000 Hz does not pass a telephone line: choose one from 300 to 3400"),
        (
            "tone:440",
            "a tone of 440 Hz is what networks play for ringing, busy or \"not in service\": choose another, such as 1100",
        ),
        (
            "tone:950",
            "a tone of 950 Hz is what networks play for ringing, busy or \"not in service\": choose another, such as 1100",
        ),
        ("dtmf:01234567890123456", "a marker of 17 keys is too long: at most 16"),
    ] {
        assert_eq!(text.parse::<Marker>().unwrap_err().to_string(), problem);
    }
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    assert_eq!(Recording::new(16_000, vec![Vec::new()]), Err(BadRecording::Rate(16_000)));
    assert_eq!(Recording::new(RATE, Vec::new()), Err(BadRecording::Channels(0)));
    assert_eq!(Recording::new(RATE, vec![Vec::new(); 3]), Err(BadRecording::Channels(3)));
    assert_eq!(Recording::new(RATE, vec![vec![0; 4_800_001]]), Err(BadRecording::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_samples_give_an_answer(channels in prop::collection::vec(prop::collection::vec(any::<i16>(), 0..4000), 1..3)) {
        let recording = Recording::new(RATE, channels).unwrap();
        let heard = listen(&recording);
        for sound in &heard.sounds {
            prop_assert!(sound.span.from <= sound.span.to);
            prop_assert!(sound.span.to as usize <= recording.channels()[sound.channel].len());
        }
        prop_assert_eq!(&heard, &listen(&recording));
        let _ = judge(&heard, &Expectation { speech: true, ..Expectation::default() });
    }
}
