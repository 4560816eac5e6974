//! States that outlive a step: parameters, slots, statistics, metric sums.

use crate::buffer::Buffer;
use footlight_graph::{Role, Type};
use footlight_tensor::{DType, Data, Tensor};
use std::collections::HashMap;

/// One state.
#[derive(Clone)]
pub(crate) struct Slot {
    pub name: String,
    pub role: Role,
    pub ty: Type,
    pub buffer: Buffer,
    /// Another number after every change.
    pub version: u64,
}

/// The states of a model by name, shared by all its sessions.
#[derive(Clone, Default)]
pub struct Store {
    pub(crate) slots: Vec<Slot>,
    names: HashMap<String, usize>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.slots.iter().map(|s| (&s.name, &s.ty))).finish()
    }
}

impl Store {
    /// The position of the state of this name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Adds a state of zeros, or leaves the one of that name if it has the same type.
    ///
    /// # Errors
    /// Both types, when a state of that name has another.
    pub fn declare(&mut self, name: &str, role: Role, ty: &Type) -> Result<(), String> {
        if let Some(position) = self.position(name) {
            let present = &self.slots[position].ty;
            return if present == ty { Ok(()) } else { Err(format!("state `{name}` is {present}, asked for as {ty}")) };
        }
        let buffer = Buffer::new(ty.size_bytes());
        self.add(Slot { name: name.into(), role, ty: ty.clone(), buffer, version: 0 });
        Ok(())
    }

    /// Sets a state, adding it if it is new.
    ///
    /// # Errors
    /// Both types, when a state of that name has another, or the element type is neither float32 nor int32.
    pub fn set(&mut self, name: &str, role: Role, value: &Tensor) -> Result<(), String> {
        if !matches!(value.dtype(), DType::F32 | DType::I32) {
            return Err(format!("state `{name}` must be float32 or int32, got {}", value.dtype()));
        }
        let ty = Type { shape: value.shape().to_vec(), dtype: value.dtype() };
        let Some(position) = self.position(name) else {
            let buffer = match value.data() {
                Data::F32(data) => Buffer::of(data),
                Data::I32(data) => Buffer::of(data),
                other => unreachable!("{} was refused", other.dtype()),
            };
            self.add(Slot { name: name.into(), role, ty, buffer, version: 1 });
            return Ok(());
        };
        self.declare(name, role, &ty)?;
        let slot = &mut self.slots[position];
        slot.version += 1;
        match value.data() {
            Data::F32(data) => slot.buffer.f32_mut(data.len()).copy_from_slice(data),
            Data::I32(data) => slot.buffer.i32_mut(data.len()).copy_from_slice(data),
            other => unreachable!("{} was refused", other.dtype()),
        }
        Ok(())
    }

    fn add(&mut self, slot: Slot) {
        self.names.insert(slot.name.clone(), self.slots.len());
        self.slots.push(slot);
    }

    /// The state of this name.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        let slot = &self.slots[self.position(name)?];
        let data = match slot.ty.dtype {
            DType::I32 => Data::I32(slot.buffer.i32(0, slot.ty.len()).to_vec()),
            _ => Data::F32(slot.buffer.f32(0, slot.ty.len()).to_vec()),
        };
        Tensor::new(slot.ty.shape.clone(), data).ok()
    }

    /// The floats of the state of this name, without a copy.
    pub fn f32(&self, name: &str) -> Option<&[f32]> {
        let slot = &self.slots[self.position(name)?];
        (slot.ty.dtype == DType::F32).then(|| slot.buffer.f32(0, slot.ty.len()))
    }

    /// The floats of the state of this name, to be changed.
    pub fn f32_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let position = self.position(name)?;
        let slot = &mut self.slots[position];
        slot.version += 1;
        (slot.ty.dtype == DType::F32).then(|| slot.buffer.f32_mut(slot.ty.len()))
    }

    /// Takes over the values of `other`, a copy of this store or the store that this one is a copy of; states that only
    /// one of them has stay as they are.
    pub fn copy_from(&mut self, other: &Store) {
        for (to, from) in self.slots.iter_mut().zip(&other.slots).filter(|(to, from)| to.ty == from.ty) {
            to.version += 1;
            to.buffer.copy_from(&from.buffer);
        }
    }

    /// Names, roles and types in the order they were added.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Role, &Type)> {
        self.slots.iter().map(|s| (s.name.as_str(), s.role, &s.ty))
    }
}
