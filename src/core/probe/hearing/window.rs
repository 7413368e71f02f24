//! The spectrum of a short stretch of sound, and what stands out of it.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::RATE;

/// What a telephone line carries, widened a little: its 300 to 3,400 Hz, in Hz.
const BAND: [f32; 2] = [250.0, 3700.0];

/// Bins on either side of a peak that belong to it: the main lobe of a Hann window.
const LOBE: usize = 2;

/// Makes spectra of windows of one size. Keeps its buffers.
pub struct Spectra {
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn ComplexToReal<f32>>,
    hann: Vec<f32>,
    time: Vec<f32>,
    bins: Vec<Complex<f32>>,
    power: Vec<f32>,
    /// Turns squared bins into a share of the mean square.
    scale: f32,
}

/// Something that stands out of a spectrum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peak {
    /// In Hz.
    pub hz: f32,
    /// Mean square of it alone.
    pub power: f32,
}

/// The three highest peaks of a window, and everything that a line carries in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outline {
    pub peaks: [Peak; 3],
    pub total: f32,
}

impl Spectra {
    /// Windows of `size` samples, in a transform of `size + padding`.
    pub fn new(size: usize, padding: usize) -> Spectra {
        let mut planner = RealFftPlanner::new();
        let length = size + padding;
        let (forward, backward) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        let hann: Vec<f32> =
            (0..size).map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / size as f32).cos()).collect();
        let energy: f32 = hann.iter().map(|w| w * w).sum();
        Spectra {
            time: forward.make_input_vec(),
            bins: forward.make_output_vec(),
            power: vec![0.0; length / 2 + 1],
            // Both halves of the spectrum; Parseval; what the window took away.
            scale: 2.0 / (energy * length as f32),
            hann,
            forward,
            backward,
        }
    }

    /// Width of a bin, in Hz.
    pub fn width(&self) -> f32 {
        RATE as f32 / self.time.len() as f32
    }

    /// The power in each bin of `samples`, which are as many as the window holds; fewer are filled up.
    pub fn power(&mut self, samples: &[f32]) -> &[f32] {
        self.time.fill(0.0);
        for ((cell, sample), weight) in self.time.iter_mut().zip(samples).zip(&self.hann) {
            *cell = sample * weight;
        }
        // Both buffers come from the plan itself, so their lengths are right.
        let _ = self.forward.process(&mut self.time, &mut self.bins);
        for (power, bin) in self.power.iter_mut().zip(&self.bins) {
            *power = bin.norm_sqr() * self.scale;
        }
        &self.power
    }

    /// The three highest peaks of `samples`.
    pub fn outline(&mut self, samples: &[f32]) -> Outline {
        let width = self.width();
        let power = self.power(samples);
        let (low, high) = ((BAND[0] / width) as usize, ((BAND[1] / width) as usize).min(power.len() - 2));
        let mut outline = Outline { total: power[low..=high].iter().sum(), ..Outline::default() };
        let mut tops: Vec<usize> =
            (low..=high).filter(|&k| power[k] >= power[k - 1] && power[k] >= power[k + 1]).collect();
        tops.sort_unstable_by(|&a, &b| power[b].total_cmp(&power[a]));
        let mut taken: Vec<usize> = Vec::new();
        let is_free = |k: usize, taken: &[usize]| taken.iter().all(|t| t.abs_diff(k) > LOBE);
        for top in tops {
            let Some(cell) = outline.peaks.get_mut(taken.len()) else { break };
            if is_free(top, &taken) {
                let lobe = top.saturating_sub(LOBE)..=(top + LOBE).min(power.len() - 1);
                let sum = lobe.filter(|&k| is_free(k, &taken)).map(|k| power[k]).sum();
                *cell = Peak { hz: width * (top as f32 + offset(power, top)), power: sum };
                taken.push(top);
            }
        }
        outline
    }

    /// How much `samples` resemble themselves so many samples later, for each such lag, by what they
    /// have between `from` and `to` Hz; 1 at lag 0. Also the power in there.
    pub fn likeness(&mut self, samples: &[f32], from: f32, to: f32) -> (&[f32], f32) {
        let (low, high) = ((from / self.width()) as usize, (to / self.width()) as usize);
        let power: f32 = self.power(samples)[low..=high].iter().sum();
        for (k, bin) in self.bins.iter_mut().enumerate() {
            let inside = (low..=high).contains(&k);
            *bin = if inside { Complex::new(bin.norm_sqr(), 0.0) } else { Complex::default() };
        }
        let _ = self.backward.process(&mut self.bins, &mut self.time);
        let whole = self.time[0].max(f32::MIN_POSITIVE);
        for cell in &mut self.time {
            *cell /= whole;
        }
        (&self.time, power)
    }

    /// [`Spectra::likeness`] of a sound that does not change: what the window leaves of it.
    pub fn fading(&self) -> Vec<f32> {
        let at = |lag: usize| -> f32 { self.hann.iter().zip(&self.hann[lag..]).map(|(a, b)| a * b).sum() };
        let whole = at(0);
        (0..self.hann.len()).map(|lag| at(lag) / whole).collect()
    }
}

/// Where between the bins a peak really is, by the parabola through the logarithms about it.
fn offset(power: &[f32], k: usize) -> f32 {
    let log = |k: usize| power[k].max(f32::MIN_POSITIVE).ln();
    let (a, b, c) = (log(k - 1), log(k), log(k + 1));
    let bend = a - 2.0 * b + c;
    if bend.abs() < f32::EPSILON { 0.0 } else { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) }
}
