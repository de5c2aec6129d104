//! Whether enough of a service is up, as keepalived decides it (`quorum`, `hysteresis`). Pure.

use lvs_crds::v1alpha1::Quorum;

/// Whether the quorum is lost, given whether it was and the sum of the weights that are up.
///
/// It is lost below `minimumWeight - hysteresis` and regained at `minimumWeight + hysteresis`; in
/// between, all stays as it was.
#[must_use]
pub fn is_lost(quorum: &Quorum, was_lost: bool, up_weight: u64) -> bool {
    let minimum = u64::try_from(quorum.minimum_weight).unwrap_or(1);
    let hysteresis = u64::try_from(quorum.hysteresis).unwrap_or_default();
    if was_lost {
        up_weight < minimum.saturating_add(hysteresis)
    } else {
        up_weight < minimum.saturating_sub(hysteresis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_lost_and_regained_as_by_keepalived() {
        let cases = [
            // minimum, hysteresis, sums in turn, whether it is lost after each
            (1, 0, vec![2, 1, 0, 0, 1], "..LL."),
            (5, 2, vec![9, 5, 3, 2, 3, 6, 7, 3, 2], "...LLL..L"),
            (5, 4, vec![1, 0, 8, 9, 1], ".LL.."),
            (16_777_216, 0, vec![16_777_215, 16_777_216], "L."),
        ];
        for (minimum_weight, hysteresis, sums, expected) in cases {
            let quorum = Quorum {
                minimum_weight,
                hysteresis,
            };
            let mut was_lost = false;
            let found: String = sums
                .into_iter()
                .map(|sum| {
                    was_lost = is_lost(&quorum, was_lost, sum);
                    if was_lost { 'L' } else { '.' }
                })
                .collect();
            assert_eq!(found, expected, "{minimum_weight} ± {hysteresis}");
        }
    }
}
