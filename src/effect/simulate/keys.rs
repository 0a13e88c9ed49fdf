//! Keys of encrypted datasets: whether they are loaded. Whose key a dataset uses is no part of a world.

use crate::effect::KeyUse;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::refused;
use crate::model::DatasetName;

type Done = Result<(), SimulationError>;

impl Host {
    pub(super) fn try_keys(&self, keys: &[KeyUse]) -> Done {
        for key in keys {
            if !self.dataset(&key.dataset)?.like.encrypted {
                return refused(format!("{} is not encrypted", key.dataset));
            }
        }
        Ok(())
    }

    pub(super) fn load_keys(&mut self, keys: &[KeyUse]) -> Done {
        self.try_keys(keys)?;
        for key in keys {
            if let Some(dataset) = self.storage.get_mut(&key.dataset) {
                dataset.like.key_available = true;
            }
        }
        Ok(())
    }

    pub(super) fn unload_keys(&mut self, datasets: &[DatasetName]) -> Done {
        for name in datasets {
            if let Some(dataset) = self.storage.get_mut(name) {
                if dataset.mounted {
                    return refused(format!("Key unload error: '{name}' is busy."));
                }
                dataset.like.key_available = false;
            }
        }
        Ok(())
    }
}
