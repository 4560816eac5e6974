//! How fast convolutions and pooling are: `cargo bench -p footlight-cpu --bench conv [threads]`.
//!
//! Each line is the best and the median of many runs of a plan with one op (and what simplification makes of it).
//! `bench/conv.py` times the same shapes in PyTorch.

use footlight_cpu::{Engine, Feed};
use footlight_graph::ops::{
    Conv, ConvGeometry, ConvInputGradient, ConvKernelGradient, ConvMaxPool, MaxPool, ScatterInputGradient,
    ScatterKernelGradient, Windows,
};
use footlight_graph::{Builder, Role, Type, Value};
use footlight_tensor::{Philox, RandomKey, Tensor};
use std::time::Instant;

fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = Philox::new(RandomKey::new(seed));
    let count: usize = shape.iter().product();
    Tensor::new(shape.to_vec(), (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>()).expect("the shape fits")
}

/// Times a graph of two states of these shapes.
fn time(threads: usize, what: &str, shapes: [&[usize]; 2], flops: f64, op: impl Fn(&mut Builder, [Value; 2]) -> Value) {
    let mut g = Builder::new();
    let names = ["a", "b"];
    let inputs = [0, 1].map(|i: usize| g.state(names[i], Type::f32(shapes[i]), Role::Parameter));
    let y = op(&mut g, inputs);
    g.output("y", y);
    let mut engine = Engine::new(threads);
    let mut session = engine.compile(&g.finish().expect("the shapes fit")).expect("it can be planned");
    for (i, name) in names.iter().enumerate() {
        let value = random(i as u64, shapes[i]);
        engine.store_mut().set(name, Role::Parameter, &value).expect("the state is there");
    }
    let mut seconds: Vec<f64> = (0..40)
        .map(|_| {
            let begin = Instant::now();
            session.run(&mut engine, &[] as &[Feed<'_>]).expect("it runs");
            begin.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
    println!(
        "| {what:<44} | {:>8.3} ms | median {:>8.3} ms | {:>6.1} GFLOP/s |",
        best * 1e3,
        median * 1e3,
        flops / best / 1e9
    );
}

fn conv(threads: usize, x: [usize; 4], filters: usize, padding: usize) {
    let [images, height, width, channels] = x;
    let out = [height, width].map(|n| n + 2 * padding - 2);
    let (w, y) = ([3, 3, channels, filters], [images, out[0], out[1], filters]);
    let geometry = ConvGeometry { padding: vec![[padding; 2]; 2], ..ConvGeometry::new(2) };
    let flops = 2.0 * (y.iter().product::<usize>() * 9 * channels) as f64;
    let name = |what: &str| format!("{what} {images}x{height}x{width}x{channels} -> {filters}");
    time(threads, &name("forward"), [&x, &w], flops, |g, [x, w]| g.conv(x, w, geometry.clone()));
    time(threads, &name("input gradient"), [&y, &w], flops, |g, [dy, w]| {
        g.conv_input_gradient(dy, w, geometry.clone(), vec![height, width])
    });
    time(threads, &name("kernel gradient"), [&x, &y], flops, |g, [x, dy]| {
        g.conv_kernel_gradient(x, dy, geometry.clone(), w.to_vec())
    });
}

/// A convolution that is pooled by halves; the gradients are timed together with it.
fn pooled(threads: usize, x: [usize; 4], filters: usize) {
    let [images, height, width, channels] = x;
    let (w, window) = ([3, 3, channels, filters], vec![3, 3]);
    let geometry = ConvGeometry::new(2);
    let windows = vec![Windows::Even { size: 2, stride: 2, padding: [0, 0] }; 2];
    let (conv, pool) = (Conv { geometry: geometry.clone() }, MaxPool { windows });
    let forward = |g: &mut Builder, inputs: &[Value]| {
        let op = ConvMaxPool { conv: conv.clone(), pool: pool.clone() };
        let outputs = g.push(op, inputs);
        (outputs[0], outputs[1])
    };
    let by_x =
        ScatterInputGradient { of: ConvInputGradient { geometry: geometry.clone(), spatial: vec![height, width] } };
    let by_w = ScatterKernelGradient { of: ConvKernelGradient { geometry, window, chunks: 1 } };
    let flops = 2.0 * (images * (height - 2) * (width - 2) * filters * 9 * channels) as f64;
    let name = |what: &str| format!("{what} {images}x{height}x{width}x{channels} -> {filters}");
    time(threads, &name("pooled"), [&x, &w], flops, |g, [x, w]| forward(g, &[x, w]).0);
    time(threads, &name("pooled, by input"), [&x, &w], 1.5 * flops, |g, [x, w]| {
        let (y, positions) = forward(g, &[x, w]);
        g.push(by_x.clone(), &[y, positions, w])[0]
    });
    time(threads, &name("pooled, by kernel"), [&x, &w], 1.5 * flops, |g, [x, w]| {
        let (y, positions) = forward(g, &[x, w]);
        g.push(by_w.clone(), &[x, y, positions])[0]
    });
}

fn main() {
    let threads = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(2);
    conv(threads, [128, 28, 28, 1], 32, 0);
    conv(threads, [128, 13, 13, 32], 64, 0);
    conv(threads, [64, 32, 32, 16], 16, 1);
    conv(threads, [64, 16, 16, 32], 32, 1);
    pooled(threads, [128, 28, 28, 1], 32);
    pooled(threads, [128, 13, 13, 32], 64);
    let windows = vec![Windows::Even { size: 2, stride: 2, padding: [0, 0] }; 2];
    for x in [[128, 26, 26, 32], [128, 11, 11, 64]] {
        let bytes = x.iter().product::<usize>() as f64;
        let name = |what: &str| format!("{what} {x:?}");
        time(threads, &name("max pool"), [&x, &[1]], bytes, |g, [x, _]| g.max_pool(x, &windows).0);
        time(threads, &name("average pool"), [&x, &[1]], bytes, |g, [x, _]| g.average_pool(x, &windows));
        time(threads, &name("max pool and gradient"), [&x, &[1]], bytes, |g, [image, _]| {
            let (y, positions) = g.max_pool(image, &windows);
            g.pool_scatter(y, positions, &x[1..3])
        });
    }
}
