//! Cumulative distributions as SVG: which share of the runs was over after how long.

use std::fmt::Write as _;

use anyhow::Result;

use crate::figures::Sample;

/// One event's panel.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Where the bound is, in milliseconds.
    pub(crate) bound_ms: Option<f64>,
    /// A name, a colour, and its times in milliseconds.
    pub(crate) curves: Vec<(&'static str, &'static str, Sample)>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
/// Room around the axes: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (48.0, 34.0, 16.0, 44.0);

/// Two panels a row.
pub(crate) fn svg(panels: &[Panel]) -> Result<String> {
    let rows = panels.len().div_ceil(2);
    let (width, height) = (2.0 * WIDTH, (0..rows).map(|_| HEIGHT).sum::<f64>());
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let x = if index % 2 == 0 { 0.0 } else { WIDTH };
        let y: f64 = (0..index / 2).map(|_| HEIGHT).sum();
        writeln!(text, "<g transform=\"translate({x} {y})\">")?;
        draw(&mut text, panel)?;
        writeln!(text, "</g>")?;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

fn draw(text: &mut String, panel: &Panel) -> Result<()> {
    let (left, top, right, bottom) = MARGIN;
    let longest = panel
        .curves
        .iter()
        .filter_map(|(_, _, sample)| sample.max())
        .chain(panel.bound_ms)
        .fold(1.0, f64::max);
    let step = step(longest);
    let end = (longest / step).ceil() * step;
    let x = |ms: f64| left + (WIDTH - left - right) * ms / end;
    let y = |share: f64| HEIGHT - bottom - (HEIGHT - top - bottom) * share;

    writeln!(
        text,
        "<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{}</text>",
        panel.title
    )?;
    let mut tick = 0.0;
    while tick <= end + step / 2.0 {
        let at = x(tick);
        writeln!(
            text,
            "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            y(0.0),
            y(1.0),
            y(0.0) + 16.0,
        )?;
        tick += step;
    }
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let at = y(percent / 100.0);
        writeln!(
            text,
            "<path d=\"M{:.1} {at:.1}H{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            x(0.0),
            x(end),
            x(0.0) - 5.0,
            at + 4.0,
        )?;
    }
    writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">milliseconds</text>",
        x(end / 2.0),
        y(0.0) + 34.0
    )?;
    if let Some(bound) = panel.bound_ms {
        writeln!(
            text,
            "<path d=\"M{0:.1} {1:.1}V{2:.1}\" stroke=\"#666\" stroke-dasharray=\"4 3\"/>\
             <text x=\"{0:.1}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#666\">RFC </text>",
            x(bound),
            y(0.0),
            y(1.0),
            y(1.0) - 3.0,
        )?;
    }
    for (index, (name, colour, sample)) in panel.curves.iter().enumerate() {
        let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
        let share = 1.0 / sample.values().iter().map(|_| 1.0).sum::<f64>();
        let mut reached = 0.0;
        for value in sample.values() {
            reached += share;
            write!(path, "H{:.1}V{:.1}", x(*value), y(reached))?;
        }
        write!(path, "H{:.1}", x(end))?;
        let line: f64 = (0..index).map(|_| 16.0).sum();
        writeln!(
            text,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            x(0.0) + 8.0,
            y(1.0) + 16.0 + line,
        )?;
    }
    Ok(())
}

/// A round number of which four to ten make up the length.
fn step(length: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 <= length {
        power *= 10.0;
    }
    [0.2, 0.5, 1.0]
        .map(|part| part * power)
        .into_iter()
        .find(|step| length / step <= 8.0)
        .unwrap_or(2.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_rises_at_its_values_to_the_top() {
        let panel = Panel {
            title: "killed".to_owned(),
            bound_ms: Some(361.0),
            curves: vec![("agent", "#06c", [300.0, 350.0].into_iter().collect())],
        };
        let text = svg(&[panel]).unwrap();
        // 0 to 400 ms over 356 points; 100 % is at the top margin, 50 % in the middle.
        assert!(
            text.contains("M48.0 256.0H315.0V145.0H359.5V34.0H404.0"),
            "{text}"
        );
        assert!(text.contains("stroke-dasharray"));
    }

    #[test]
    fn steps_are_round_and_few() {
        for (length, wanted) in [
            (36.1, 5.0),
            (361.0, 50.0),
            (3610.0, 500.0),
            (8.0, 1.0),
            (99.0, 20.0),
        ] {
            assert!(
                (step(length) - wanted).abs() < 1e-9,
                "{length}: {}",
                step(length)
            );
        }
    }
}
