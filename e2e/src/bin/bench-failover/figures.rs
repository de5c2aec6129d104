//! Orders statistics.

/// A sample of times, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Sample(Vec<f64>);

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Sample {
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }

    /// The smallest value that at least `share` (0 to 1) of the sample does not exceed.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank within a sample of at most some thousands"
    )]
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample: Sample = (1..=200).rev().map(f64::from).collect();
        assert_eq!(sample.quantile(0.5), Some(100.0));
        assert_eq!(sample.quantile(0.99), Some(198.0));
        assert_eq!(sample.quantile(1.0), sample.max());
        assert_eq!(sample.quantile(0.0), Some(1.0));
        assert_eq!(Sample::from_iter([]).quantile(0.5), None);
    }
}
