use super::*;

fn reading(parts: usize, keys: &[u8]) -> Reading<u8> {
    Reading {
        outcome: Outcome {
            parts,
            interrupted: false,
        },
        keys: keys.to_vec(),
    }
}

#[test]
fn what_came_in_one_part_is_sound() {
    assert!(reading(0, &[]).is_sound(None));
    assert!(reading(1, &[1, 2]).is_sound(None));
    assert!(reading(1, &[1, 2]).is_sound(Some(&reading(3, &[1]))));
}

#[test]
fn parts_are_sound_when_two_readings_agree() {
    let now = reading(2, &[1, 2]);
    assert!(!now.is_sound(None));
    assert!(now.is_sound(Some(&reading(2, &[1, 2]))));
    // Something was left out in one of the two, or it was added or removed between them.
    assert!(!now.is_sound(Some(&reading(2, &[1]))));
    assert!(!now.is_sound(Some(&reading(2, &[1, 2, 3]))));
}

#[test]
fn what_came_twice_is_never_sound() {
    let twice = || reading(2, &[1, 1, 2]);
    assert!(!twice().is_sound(Some(&twice())));
    assert!(!reading(1, &[1, 1]).is_sound(None));
}

#[test]
fn what_was_interrupted_is_never_sound() {
    let mut lost = reading(1, &[1]);
    lost.outcome.interrupted = true;
    assert!(!lost.is_sound(None));
    assert!(!reading(2, &[1]).is_sound(Some(&lost)));
}
