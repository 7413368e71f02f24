//! The shapes that an account's numbers have in common: offices, shops, lines that ring all night.
//!
//! A mixture of at most six shapes, found by expectation and maximisation: each number belongs to each shape as
//! likely as its own calls make it, and each shape is the mean of the numbers that belong to it. What a number gets
//! back is the mean of the shapes by how likely it belongs to them, so that one with few calls gets a bit of each. It
//! begins with the busiest number and the ones farthest from it, not with chance: the same records give the same
//! shapes.

use super::calendar::CLASS_SLOTS;
use super::shape::OwnShape;

const SHAPES: usize = 6;

/// So many numbers are needed for each shape.
const NUMBERS_A_SHAPE: usize = 3;

/// Numbers with more calls than this may begin a shape: the busiest of them.
const CALLS_TO_BEGIN: f64 = 60.0;
const BEGINNERS: usize = 60;

const ROUNDS: usize = 12;

/// Days differ for all of a number's half-hours at once, so that its calls say half of what they seem to.
const INFORMATION: f64 = 0.5;

/// No number says more of a shape than one with so many calls.
const MOST_SAID: f64 = 800.0;

/// Each number's shape by class of day and half-hour, with a mean of about 1.
pub fn shared_shapes(own: &[OwnShape]) -> Vec<Vec<f64>> {
    let totals: Vec<f64> = own.iter().map(OwnShape::total).collect();
    let means: Vec<f64> = own.iter().map(OwnShape::mean).collect();
    let mut shapes = first_shapes(own, &totals, &means);
    let mut weights = vec![1.0 / shapes.len() as f64; shapes.len()];
    let mut belongs = Vec::new();
    for _ in 0..ROUNDS {
        belongs = expect(own, &means, &shapes, &weights);
        for (k, shape) in shapes.iter_mut().enumerate() {
            *shape = mean_shape(own, &totals, &means, &belongs, k);
            let members: f64 = belongs.iter().map(|b| b[k]).sum();
            weights[k] = (0.5 + members) / (own.len() as f64 + 0.5 * weights.len() as f64);
        }
    }
    let mixed = |belongs: &Vec<f64>| {
        let at = |q: usize| belongs.iter().zip(&shapes).map(|(b, shape)| b * shape[q]).sum();
        (0..CLASS_SLOTS).map(at).collect()
    };
    let flat = || vec![1.0; CLASS_SLOTS];
    totals.iter().zip(&belongs).map(|(total, b)| if *total > 0.0 { mixed(b) } else { flat() }).collect()
}

/// The busiest number's shape, then each time the one that is farthest from all that there are.
fn first_shapes(own: &[OwnShape], totals: &[f64], means: &[f64]) -> Vec<Vec<f64>> {
    let mut busiest: Vec<usize> = (0..own.len()).collect();
    busiest.sort_by(|a, b| totals[*b].total_cmp(&totals[*a]));
    let many = busiest.iter().take_while(|i| totals[**i] > CALLS_TO_BEGIN).take(BEGINNERS).count().max(1);
    busiest.truncate(many);
    let candidates: Vec<Vec<f64>> = busiest.into_iter().map(|i| relative(&own[i], means[i])).collect();
    let wanted = (own.len() / NUMBERS_A_SHAPE).clamp(1, SHAPES).min(candidates.len());
    let mut shapes: Vec<Vec<f64>> = candidates.first().cloned().into_iter().collect();
    while shapes.len() < wanted {
        let nearest = |c: &Vec<f64>| shapes.iter().map(|s| distance(c, s)).fold(f64::INFINITY, f64::min);
        // Of equals the first.
        let farthest = candidates.iter().rev().max_by(|a, b| nearest(a).total_cmp(&nearest(b)));
        shapes.extend(farthest.cloned());
    }
    shapes
}

fn relative(own: &OwnShape, mean: f64) -> Vec<f64> {
    own.calls.iter().zip(&own.seen).map(|(n, seen)| (n + 2.0) / (seen * mean + 2.0)).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a.sqrt() - b.sqrt()).abs()).sum()
}

/// How likely each number belongs to each shape.
fn expect(own: &[OwnShape], means: &[f64], shapes: &[Vec<f64>], weights: &[f64]) -> Vec<Vec<f64>> {
    let logs: Vec<Vec<f64>> = shapes.iter().map(|s| s.iter().map(|x| x.max(1e-4).ln()).collect()).collect();
    let of_number = |(own, mean): (&OwnShape, &f64)| {
        let likelihood = |k: usize| {
            let said: f64 = own.calls.iter().zip(&logs[k]).map(|(n, log)| n * log).sum();
            let due: f64 = own.seen.iter().zip(&shapes[k]).map(|(seen, x)| seen * x).sum();
            INFORMATION * (weights[k].ln() + said - mean * due)
        };
        let logs: Vec<f64> = (0..shapes.len()).map(likelihood).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let likely: Vec<f64> = logs.into_iter().map(|x| (x - most).exp()).collect();
        let sum: f64 = likely.iter().sum();
        likely.into_iter().map(|x| x / sum).collect()
    };
    own.iter().zip(means).map(of_number).collect()
}

/// The shape of those who belong to `k`.
fn mean_shape(own: &[OwnShape], totals: &[f64], means: &[f64], belongs: &[Vec<f64>], k: usize) -> Vec<f64> {
    let (mut calls, mut due) = (vec![0.0; CLASS_SLOTS], vec![0.0; CLASS_SLOTS]);
    for (i, own) in own.iter().enumerate() {
        let belongs = belongs[i][k];
        if belongs < 1e-3 {
            continue;
        }
        let said = belongs * (MOST_SAID / totals[i].max(1.0)).min(1.0);
        for q in 0..CLASS_SLOTS {
            calls[q] += said * own.calls[q];
            due[q] += said * own.seen[q] * means[i];
        }
    }
    calls.into_iter().zip(due).map(|(n, due)| (n + 0.3) / (due + 0.3)).collect()
}
