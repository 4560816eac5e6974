//! Keras' order of layers, which decides under which key of a file the weights of a layer lie.

use super::{Architecture, LayerCall, Port};
use crate::Error;
use std::collections::HashMap;

/// Puts layers in Keras' order, and leaves out what no output needs.
///
/// Layers stand by their distance to the outputs, the farthest first; at the same distance in the order in which a walk
/// from the outputs through the arguments of calls meets them. An input that nothing reads stands last.
///
/// # References
/// Keras 3.15.1, `keras/src/ops/function.py`, `map_graph`.
pub(super) fn arrange(model: &mut Architecture) {
    let walk = walk(model);
    let depths = depths(model, &walk.finished);
    let mut layers: Vec<(usize, usize)> = Vec::new();
    for (layer, _) in model.layers.iter().enumerate() {
        match walk.met.get(&layer) {
            Some(met) => layers.push((layer, *met + 1)),
            None if model.layers[layer].class_name() == "InputLayer" => layers.push((layer, 0)),
            None => {}
        }
    }
    layers.sort_by_key(|(layer, met)| (std::cmp::Reverse(depths.get(layer).copied().unwrap_or(0)), *met));
    let place: HashMap<usize, usize> = layers.iter().enumerate().map(|(new, (old, _))| (*old, new)).collect();
    let is_kept = |call: usize| walk.finished.contains(&call) || sources(&model.calls[call]).next().is_none();
    let kept: Vec<usize> =
        (0..model.calls.len()).filter(|call| is_kept(*call) && place.contains_key(&model.calls[*call].layer)).collect();
    let moved: HashMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let port = |port: &Port| match *port {
        Port::Output(call, output) => Port::Output(moved[&call], output),
        input => input,
    };
    let calls: Vec<LayerCall> = kept
        .iter()
        .map(|old| {
            let call = &model.calls[*old];
            LayerCall {
                layer: place[&call.layer],
                inputs: call.inputs.iter().map(port).collect(),
                named: call.named.iter().map(|(key, ports)| (key.clone(), ports.iter().map(port).collect())).collect(),
                ..call.clone()
            }
        })
        .collect();
    model.outputs = model.outputs.iter().map(port).collect();
    model.calls = calls;
    model.names = layers.iter().map(|(old, _)| std::mem::take(&mut model.names[*old])).collect();
    model.settings = layers.iter().map(|(old, _)| std::mem::take(&mut model.settings[*old])).collect();
    let mut old: Vec<_> = std::mem::take(&mut model.layers).into_iter().map(Some).collect();
    model.layers = layers.iter().filter_map(|(layer, _)| old[*layer].take()).collect();
}

/// The faults of calls that read one which does not come before them.
pub(super) fn cycles(model: &Architecture) -> Vec<Error> {
    let fault = |(at, call): (usize, &LayerCall)| {
        sources(call).find(|source| *source >= at)?;
        let fault = Error::config("is called on what depends on it").help("break the cycle");
        Some(model.in_layer(call.layer, fault))
    };
    model.calls.iter().enumerate().filter_map(fault).collect()
}

/// All of a list, each after its `sources`, in their order as far as that goes; of those that are sources of each other one
/// comes before its source.
pub(super) fn sources_first(mut sources: Vec<Vec<usize>>) -> Vec<usize> {
    sources.iter_mut().for_each(|own| own.reverse());
    let (mut order, mut is_begun) = (Vec::new(), vec![false; sources.len()]);
    for first in 0..sources.len() {
        let mut open: Vec<usize> = Some(first).filter(|first| !is_begun[*first]).into_iter().collect();
        while let Some(call) = open.last().copied() {
            is_begun[call] = true;
            match sources[call].pop() {
                Some(source) if is_begun[source] => {}
                Some(source) => open.push(source),
                None => order.extend(open.pop()),
            }
        }
    }
    order
}

/// The calls whose outputs a call reads, in the order of its arguments.
fn sources(call: &LayerCall) -> impl Iterator<Item = usize> {
    let named = call.named.iter().flat_map(|(_, ports)| ports);
    call.inputs.iter().chain(named).filter_map(|port| match port {
        Port::Output(call, _) if *port != Port::NOWHERE => Some(*call),
        _ => None,
    })
}

struct Walk {
    /// The calls, each after all it reads.
    finished: Vec<usize>,
    /// When each layer was met first.
    met: HashMap<usize, usize>,
}

fn walk(model: &Architecture) -> Walk {
    let mut walk = Walk { finished: Vec::new(), met: HashMap::new() };
    let mut is_begun = vec![false; model.calls.len()];
    for output in &model.outputs {
        let Port::Output(call, _) = *output else { continue };
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut enter = |call: usize, open: &mut Vec<(usize, usize)>, walk: &mut Walk| {
            if !std::mem::replace(&mut is_begun[call], true) {
                let count = walk.met.len();
                walk.met.entry(model.calls[call].layer).or_insert(count);
                open.push((call, 0));
            }
        };
        enter(call, &mut open, &mut walk);
        while let Some((call, next)) = open.pop() {
            match sources(&model.calls[call]).nth(next) {
                Some(source) => {
                    open.push((call, next + 1));
                    enter(source, &mut open, &mut walk);
                }
                None => walk.finished.push(call),
            }
        }
    }
    walk
}

/// The greatest distance of each layer to an output.
fn depths(model: &Architecture, finished: &[usize]) -> HashMap<usize, usize> {
    let (mut of_call, mut of_layer): (HashMap<usize, usize>, HashMap<usize, usize>) = Default::default();
    for call in finished.iter().rev() {
        let layer = model.calls[*call].layer;
        let own = of_call.get(call).copied().unwrap_or(0);
        let depth = own.max(of_layer.get(&layer).copied().unwrap_or(0));
        of_layer.insert(layer, depth);
        of_call.insert(*call, depth);
        for source in sources(&model.calls[*call]) {
            let before = of_call.entry(source).or_insert(0);
            *before = (*before).max(depth + 1);
        }
    }
    of_layer
}
