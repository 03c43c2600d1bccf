//! Files of this user: those written are private, and those read were not prepared by somebody else.

mod new_file;
pub(crate) mod places;
mod trust;

pub(crate) use self::new_file::{
    NewFile, PASSING, directory_of, is_out_of_room, leftovers_in, refuse_taken, restore_mask, unwritable,
    write_for_owner_only, write_new,
};
pub(crate) use self::trust::{refuse_foreign, refuse_foreign_file};
