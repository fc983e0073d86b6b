//! One chart as SVG: axes, ticks, lines.

use std::fmt::Write;

use super::numbers::short;

/// Pixels of a panel.
pub(super) const WIDTH: f64 = 470.0;
pub(super) const HEIGHT: f64 = 230.0;
const LEFT: f64 = 58.0;
/// Half of what is said below the end of an axis lies beyond it.
const RIGHT: f64 = 20.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 34.0;

const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"];

/// What is drawn.
#[derive(Debug)]
pub(super) struct Panel {
    /// Above it, with the unit of what grows upwards.
    pub(super) title: String,
    /// What lies below it.
    pub(super) across: Across,
    /// Ten times as much is a step of one length.
    pub(super) is_logarithmic: bool,
    /// The lines.
    pub(super) series: Vec<Series>,
}

/// What grows to the right.
#[derive(Debug)]
pub(super) enum Across {
    /// Seconds.
    Time,
    /// Things with names, at 0, 1, 2, …
    Names(Vec<String>),
}

/// A line; where there is no value, there is a gap.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// From values to pixels.
struct Scale {
    least: f64,
    most: f64,
    is_logarithmic: bool,
    ticks: Vec<f64>,
}

impl Panel {
    /// The panel with its upper left corner there.
    pub(super) fn svg(&self, left: f64, top: f64) -> String {
        let values = || self.series.iter().flat_map(|series| &series.points).filter_map(|point| point.1);
        let upwards = if self.is_logarithmic { Scale::decades(values()) } else { Scale::from_zero(values()) };
        let ends = self.series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let end = ends.fold(0.0, f64::max);
        let across = Scale::from_zero([end].into_iter()).ending_at(end);
        let x = |value: f64| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - upwards.place(value) * (HEIGHT - TOP - BOTTOM);

        let mut out = format!("<g transform=\"translate({left:.0} {top:.0})\">\n");
        text(&mut out, LEFT, 16.0, "start", "title", &self.title);
        for tick in &upwards.ticks {
            let at = y(*tick);
            line(&mut out, (LEFT, at), (WIDTH - RIGHT, at));
            text(&mut out, LEFT - 6.0, at + 4.0, "end", "", &short(*tick));
        }
        match &self.across {
            Across::Time => across.ticks.iter().for_each(|tick| {
                text(&mut out, x(*tick), HEIGHT - BOTTOM + 16.0, "middle", "", &format!("{} s", short(*tick)));
            }),
            Across::Names(names) => (0_u32..).zip(names).for_each(|(index, name)| {
                let anchor = if index == 0 { "start" } else { "middle" };
                let anchor = if index as usize + 1 == names.len() { "end" } else { anchor };
                text(&mut out, x(index.into()), HEIGHT - BOTTOM + 16.0, anchor, "", name);
            }),
        }
        let mut legend = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            series.draw(&mut out, colour, &x, &y);
            if matches!(self.across, Across::Names(_)) {
                series.label(&mut out, colour, &x, &y);
            }
            let _ = writeln!(out, "<rect x=\"{legend:.0}\" y=\"24\" width=\"10\" height=\"10\" fill=\"{colour}\"/>");
            text(&mut out, legend + 14.0, 33.0, "start", "", &series.name);
            #[expect(clippy::cast_precision_loss, reason = "a few letters")]
            let width = series.name.chars().count() as f64;
            legend += width.mul_add(6.2, 30.0);
        }
        out.push_str("</g>\n");
        out
    }
}

impl Series {
    /// The values beside their points: where there are few of them, they can be read.
    fn label(&self, out: &mut String, colour: &str, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let last = self.points.len().saturating_sub(1);
        for (index, (at, value)) in self.points.iter().enumerate() {
            let Some(value) = value else { continue };
            let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*at), y(*value));
            let (anchor, aside) = match index {
                0 => ("start", 6.0),
                index if index == last => ("end", -6.0),
                _ => ("middle", 0.0),
            };
            text(out, x(*at) + aside, y(*value) - 7.0, anchor, "value", &short(*value));
        }
    }

    fn draw(&self, out: &mut String, colour: &str, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        for run in self.points.split(|point| point.1.is_none()).filter(|run| !run.is_empty()) {
            let places = run.iter().filter_map(|(at, value)| Some(format!("{:.1},{:.1}", x(*at), y((*value)?))));
            let places: Vec<_> = places.collect();
            if let [(at, Some(value))] = run {
                // A line of one point would not be seen.
                let _ =
                    writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{colour}\"/>", x(*at), y(*value));
            }
            let _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
                places.join(" ")
            );
        }
    }
}

impl Scale {
    /// From 0 to a round number that nothing exceeds.
    fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let ticks = (0..=4).map(|index| f64::from(index) * step);
        let ticks: Vec<_> = ticks.take_while(|tick| *tick < most + step * 0.999).collect();
        Self { least: 0.0, most: ticks.last().copied().unwrap_or(most), is_logarithmic: false, ticks }
    }

    /// As it is, but it ends there, round or not; an axis without length stays.
    fn ending_at(mut self, end: f64) -> Self {
        if end > self.least {
            self.ticks.retain(|tick| *tick <= end);
            self.most = end;
        }
        self
    }

    /// Whole powers of ten around everything.
    fn decades(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::MAX, f64::MIN_POSITIVE);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most < least {
            (least, most) = (1.0, 10.0);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a power of ten that an f64 has")]
        let (lower, mut upper) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        if upper <= lower {
            upper = lower + 1;
        }
        let ticks: Vec<_> = (lower..=upper).map(|power| 10_f64.powi(power)).collect();
        Self { least: 10_f64.powi(lower), most: 10_f64.powi(upper), is_logarithmic: true, ticks }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let Self { least, most, .. } = self;
        let part = if self.is_logarithmic {
            (value.max(*least).ln() - least.ln()) / (most.ln() - least.ln())
        } else {
            (value - least) / (most - least)
        };
        part.clamp(0.0, 1.0)
    }
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(out, "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>", from.0, from.1, to.0, to.1);
}

/// A text at a place; names come from the command's own words, yet nothing is taken for markup.
pub(super) fn text(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_from_zero_ends_with_a_round_number_that_nothing_exceeds() {
        for (most, ticks) in [
            (0.9, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            (12_012.0, vec![0.0, 5_000.0, 10_000.0, 15_000.0]),
            (0.0, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
        ] {
            assert_eq!(Scale::from_zero([most / 2.0, most].into_iter()).ticks, ticks, "{most}");
        }
    }

    #[test]
    fn time_ends_with_the_trial() {
        let scale = Scale::from_zero([20.25].into_iter()).ending_at(20.25);
        assert_eq!(scale.ticks, [0.0, 10.0, 20.0]);
        assert!((scale.place(20.25) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn each_decade_has_the_same_length() {
        let scale = Scale::decades([0.5, 40.0].into_iter());
        assert_eq!(scale.ticks.len(), 4);
        for (value, place) in [(0.1, 0.0), (1.0, 1.0 / 3.0), (10.0, 2.0 / 3.0), (100.0, 1.0), (0.0, 0.0)] {
            assert!((scale.place(value) - place).abs() < 1e-9, "{value}");
        }
        assert_eq!(Scale::decades(std::iter::empty()).ticks.len(), 2);
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let points = vec![(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))];
        let series = vec![Series { name: "a<b".into(), points }];
        let svg = Panel { title: "x & y".into(), across: Across::Time, is_logarithmic: false, series }.svg(0.0, 0.0);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 1));
        assert!(svg.contains("x &amp; y") && svg.contains("a&lt;b"));
    }
}
