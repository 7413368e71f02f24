//! WAV files as Twilio and telephone tools write them: PCM of 16 bits or mu-law, 8,000 samples a
//! second, one or two channels.
//!
//! Written here because `hound` reads no mu-law, and a decoder of every format would bring a dozen
//! crates for sixty lines. What comes over the network is not trusted: any bytes give a recording or
//! an error. A file that was cut off is an error as well: half a recording would be judged for what it
//! lacks. Where the writer left the length open, as streams do, what is there is taken.

use crate::core::probe::hearing::{BadRecording, Recording};

/// Why a file is no recording that can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWav {
    #[error("not a WAV file: it does not begin with RIFF and WAVE")]
    NotWav,
    #[error("the WAV file has no {0:?} part before its end")]
    Missing(&'static str),
    #[error("the WAV file is cut off: {there} of {promised} bytes of sound are there")]
    CutOff { there: usize, promised: usize },
    #[error("the WAV file's format part has {0} bytes; 16 are the least")]
    ShortFormat(usize),
    #[error("WAV format {tag} with {bits} bits a sample is not read; 16-bit PCM (1) and mu-law (7) are")]
    Format { tag: u16, bits: u16 },
    #[error(transparent)]
    Recording(#[from] BadRecording),
}

const PCM: u16 = 1;
const MU_LAW: u16 = 7;
/// The format is told by the first two bytes of an identifier further on.
const EXTENSIBLE: u16 = 0xfffe;
/// Lengths from here on mean that the writer did not know: ffmpeg writes all ones, sox all ones but some.
const OPEN: usize = 0x7fff_0000;

/// Reads a WAV file.
pub fn read(bytes: &[u8]) -> Result<Recording, BadWav> {
    if !(bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE")) {
        return Err(BadWav::NotWav);
    }
    let (format, _) = part(bytes, b"fmt ").ok_or(BadWav::Missing("fmt"))?;
    let word = |at: usize| match format.get(at..at + 2) {
        Some(&[low, high]) => Ok(u16::from_le_bytes([low, high])),
        _ => Err(BadWav::ShortFormat(format.len())),
    };
    let bits = word(14)?;
    let tag = match word(0)? {
        EXTENSIBLE => word(24)?,
        tag => tag,
    };
    let channels = usize::from(word(2)?);
    let rate = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    if !matches!(channels, 1 | 2) {
        return Err(BadRecording::Channels(channels).into());
    }
    let (data, promised) = part(bytes, b"data").ok_or(BadWav::Missing("data"))?;
    if promised > data.len() && promised < OPEN {
        return Err(BadWav::CutOff { there: data.len(), promised });
    }
    let width = match (tag, bits) {
        (PCM, 16) => 2,
        (MU_LAW, 8) => 1,
        _ => return Err(BadWav::Format { tag, bits }),
    };
    // Before anything is made of it.
    Recording::check(rate, channels, data.len() / width / channels)?;
    let samples: Vec<i16> = match width {
        2 => data.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect(),
        _ => data.iter().map(|&s| from_mu_law(s)).collect(),
    };
    let of = |channel: usize| samples.iter().copied().skip(channel).step_by(channels).collect();
    Ok(Recording::new(rate, (0..channels).map(of).collect())?)
}

/// The contents of the first part that has this name, as far as they are there, and the length that it
/// claims.
fn part<'b>(bytes: &'b [u8], name: &[u8; 4]) -> Option<(&'b [u8], usize)> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (head, body) = rest.split_at_checked(8)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(name) {
            return Some((&body[..length.min(body.len())], length));
        }
        // Parts of odd length are followed by a byte of padding.
        rest = body.get(length.checked_add(length % 2)?..)?;
    }
}

/// ITU-T G.711: a sign, three bits of exponent, four of mantissa, all inverted.
fn from_mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let size = (((i16::from(byte & 15) << 3) + 132) << exponent) - 132;
    if byte & 0x80 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        for word in [tag, channels, rate as u16, (rate >> 16) as u16, 0, 0, channels * bits / 8, bits] {
            out.extend(word.to_le_bytes());
        }
        out.extend(b"data");
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn both_formats_and_both_channels_are_read() {
        let pcm = read(&file(PCM, 2, 8000, 16, &[1, 0, 255, 255, 0, 128, 255, 127])).unwrap();
        assert_eq!(pcm.channels(), [[1, i16::MIN], [-1, i16::MAX]]);
        // G.711, table 2a: the ends of the scale, and both zeros.
        let mu_law = read(&file(MU_LAW, 1, 8000, 8, &[0x00, 0x80, 0x7f, 0xff, 0xce])).unwrap();
        assert_eq!(mu_law.channels(), [[-32124, 32124, 0, 0, 988]]);
    }

    #[test]
    fn what_cannot_be_listened_to_is_refused_with_its_reason() {
        let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert_eq!(said(b"<html>"), "not a WAV file: it does not begin with RIFF and WAVE");
        assert_eq!(
            said(&file(PCM, 1, 44_100, 16, &[])),
            "the recording has 44100 samples a second; only 8000 can be listened to"
        );
        assert_eq!(said(&file(PCM, 3, 8000, 16, &[])), "the recording has 3 channels; only 1 or 2 can be listened to");
        assert_eq!(
            said(&file(PCM, 1, 8000, 24, &[])),
            "WAV format 1 with 24 bits a sample is not read; 16-bit PCM (1) and mu-law (7) are"
        );
        let long = vec![0; 8000 * 601];
        assert_eq!(
            said(&file(MU_LAW, 1, 8000, 8, &long)),
            "the recording is longer than 10 minutes: limit the test call's time"
        );
    }

    #[test]
    fn cut_anywhere_or_spoiled_it_is_a_recording_or_an_error() {
        let whole = file(PCM, 2, 8000, 16, &[7; 64]);
        for end in 0..whole.len() {
            match read(&whole[..end]) {
                Ok(cut) => panic!("{end} bytes are taken for {cut:?}"),
                Err(BadWav::CutOff { there, promised: 64 }) => assert!(there < 64),
                Err(e) => assert!(matches!(e, BadWav::NotWav | BadWav::Missing(_) | BadWav::ShortFormat(_)), "{e}"),
            }
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut spoiled = whole.clone();
                spoiled[at] = value;
                let _ = read(&spoiled);
            }
        }
        // A stream's writer does not know how much there will be.
        let mut open = file(PCM, 1, 8000, 16, &[1, 0, 2, 0]);
        let length = open.len() - 8;
        open[length..length + 4].fill(0xff);
        assert_eq!(read(&open).unwrap().channels(), [[1, 2]]);
    }
}
