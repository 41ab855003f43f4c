//! The connections of a run by their numbers, which are given out one by one.

use std::collections::VecDeque;
use std::ops::Index;

use super::Conn;
use crate::engine::ConnId;

/// All that are not yet retired.
#[derive(Default)]
pub(crate) struct Conns {
    /// The number of the first slot.
    first: ConnId,
    slots: VecDeque<Option<Box<Conn>>>,
}

impl Conns {
    /// The next number, from 1.
    pub(crate) fn insert(&mut self, conn: Conn) -> ConnId {
        self.first = self.first.max(1);
        self.slots.push_back(Some(Box::new(conn)));
        self.first + self.slots.len() as ConnId - 1
    }

    fn slot(&self, id: ConnId) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first)?).ok()
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(self.slot(id)?)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let slot = self.slot(id)?;
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        let slot = self.slot(id)?;
        let conn = self.slots.get_mut(slot)?.take();
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        conn
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        (self.first..).zip(&self.slots).filter_map(|(id, conn)| Some((id, conn.as_deref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Conn)> {
        (self.first..).zip(&mut self.slots).filter_map(|(id, conn)| Some((id, conn.as_deref_mut()?)))
    }
}

impl Index<ConnId> for Conns {
    type Output = Conn;

    /// # Panics
    /// When it is retired.
    fn index(&self, id: ConnId) -> &Conn {
        self.get(id).expect("the caller has looked")
    }
}
