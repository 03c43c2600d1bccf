//! What the outage tests share.

use std::path::Path;

use strongroom_conformance::outage::Rig;
use strongroom_sled::SledStore;

pub(crate) const RIG: Rig<SledStore> = Rig::new(|path| SledStore::open(path)).inspect(no_blobs);

/// sled never syncs a blob file.
fn no_blobs(path: &Path) {
    assert_eq!(path.join("blobs").read_dir().map_or(0, Iterator::count), 0, "sled wrote blob files");
}
