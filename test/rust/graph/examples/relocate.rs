//! How long `relocate` takes, as a multiple of memcpy of the same bytes: medians of runs that
//! take turns. Part of `make bench`, for which `--raw` prints name, bytes and all times in seconds,
//! between tabs; `RUNS=n` sets how many turns.

use graph_tests::shapes;
use hh_graph::relocate;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let runs = std::env::var("RUNS").map_or(21, |text| text.parse().expect("RUNS is a number"));
    let raw = std::env::args().any(|argument| argument == "--raw");
    if !raw {
        println!(
            "{:34} {:>8} {:>10} {:>10} {:>9} {:>9}",
            "", "MB", "memcpy ms", "ms", "x memcpy", "at least"
        );
    }
    for (name, build) in shapes::ALL {
        let copy = build();
        let (mut words, mut bitmap) = (copy.words, copy.bitmap);
        let bits = bitmap.words(words.len()).to_vec();
        let mut beside = words.clone();
        let end = copy.target + words.len() * 8;
        let (mut copying, mut moving, mut touching) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = copy.target;
        for _ in 0..runs {
            copying.push(time(|| beside.copy_from_slice(black_box(&words))));
            let delta = if at == copy.target {
                1 << 40
            } else {
                0usize.wrapping_sub(1 << 40)
            };
            let from = at..at + (end - copy.target);
            moving.push(time(|| relocate(black_box(&mut words), &bits, from, delta)));
            at = at.wrapping_add(delta);
            touching.push(time(|| touch(black_box(&mut beside))));
        }
        if raw {
            let bytes = words.len() * 8;
            let [copying, moving, touching] =
                [&copying, &moving, &touching].map(|times| list(times));
            println!("{name}\t{bytes}\t{copying}\t{moving}\t{touching}");
            continue;
        }
        let [copying, moving, touching] = [copying, moving, touching].map(median);
        println!(
            "{:34} {:8.1} {:10.2} {:10.2} {:9.2} {:9.2}",
            format!("relocate, {name}"),
            words.len() as f64 * 8e-6,
            copying * 1e3,
            moving * 1e3,
            moving / copying,
            touching / copying
        );
    }
}

/// A load and a store in every line of the cache: what nothing that moves pointers can do without.
fn touch(words: &mut [usize]) {
    for line in words.chunks_mut(8) {
        line[0] = line[0].wrapping_add(8);
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn list(times: &[Duration]) -> String {
    let seconds = |time: &Duration| format!("{:.9}", time.as_secs_f64());
    times.iter().map(seconds).collect::<Vec<_>>().join(" ")
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}
