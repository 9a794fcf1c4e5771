//! Compiled code on disk: never replicated, never trusted without this node's own signature.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::engine::EPOCH;
use crate::stage::StageError;

const MAC_BYTES: usize = 32;

/// Largest file that is read: some times what the largest component compiles to.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A folder of compiled components, one file per (plugin digest, epoch, engine and target).
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    secret: Secret,
    /// Hash of the engine's version, its knobs and the target.
    compatibility: u64,
}

impl Cache {
    pub(crate) fn open(
        folder: PathBuf,
        secret: [u8; 32],
        engine: &wasmtime::Engine,
    ) -> Result<Self, StageError> {
        fs::create_dir_all(&folder).map_err(|source| failed("create", &folder, source))?;
        let mut hash = StableHash(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        Ok(Self {
            folder,
            secret: Secret(secret),
            compatibility: hash.finish(),
        })
    }

    /// The component compiled earlier, if there is one and it is ours.
    pub(crate) fn load(
        &self,
        engine: &wasmtime::Engine,
        digest: &[u8; 32],
    ) -> Result<Option<Component>, StageError> {
        let path = self.path(digest);
        let bytes = match read(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                tracing::warn!(path = %path.display(), "compiled code is too large; compiling");
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path, source)),
        };
        let Some((mac, code)) = bytes.split_first_chunk::<MAC_BYTES>() else {
            return Ok(None);
        };
        if !self.secret.verifies(mac, &self.context(digest), code) {
            tracing::warn!(path = %path.display(), "compiled code is not this node's; compiling");
            return Ok(None);
        }
        // SAFETY: the code carries a MAC under a secret of this node over these very bytes and
        // over what they were compiled from and for, so they came out of `Component::serialize`.
        #[allow(unsafe_code, reason = "the engine's only way to load compiled code")]
        let component = unsafe { Component::deserialize(engine, code) };
        // An honest file of another build of the engine: compile again.
        Ok(component.ok())
    }

    /// Keeps a component just compiled: temporary file, then rename. Nothing depends on it being
    /// durable.
    pub(crate) fn store(&self, digest: &[u8; 32], component: &Component) -> Result<(), StageError> {
        let code = component
            .serialize()
            .map_err(|error| StageError::Compile(format!("{error:#}")))?;
        let mac = self.secret.mac(&self.context(digest), &code);
        let path = self.path(digest);
        let temporary = path.with_extension("tmp");
        let write = || {
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&mac)?;
            file.write_all(&code)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| failed("write", &path, source))
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder
            .join(format!("{name}-{EPOCH}-{:016x}.aot", self.compatibility))
    }

    fn context(&self, digest: &[u8; 32]) -> Vec<u8> {
        let mut context = b"coracle aot 1".to_vec();
        context.extend(digest);
        context.extend(EPOCH.to_le_bytes());
        context.extend(self.compatibility.to_le_bytes());
        context
    }
}

/// The whole file; `None` if it is larger than any that is written here.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // It may have grown since.
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// HMAC-SHA256 (RFC 2104) under the node's secret.
struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    fn mac(&self, context: &[u8], code: &[u8]) -> [u8; MAC_BYTES] {
        let pad = |byte: u8| {
            let mut block = [byte; 64];
            block
                .iter_mut()
                .zip(self.0)
                .for_each(|(pad, key)| *pad ^= key);
            Sha256::new().chain_update(block)
        };
        let inner = pad(0x36)
            .chain_update(context)
            .chain_update(code)
            .finalize();
        pad(0x5c).chain_update(inner).finalize().into()
    }

    /// Compares without a data-dependent exit.
    fn verifies(&self, mac: &[u8; MAC_BYTES], context: &[u8], code: &[u8]) -> bool {
        let expected = self.mac(context, code);
        expected
            .iter()
            .zip(mac)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
    }
}

/// The engine offers its compatibility only through `Hash`; the standard hasher may differ between
/// builds of the standard library.
struct StableHash(Sha256);

impl Hasher for StableHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest.first_chunk().copied().expect("SHA-256 has 32 bytes"))
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StageError {
    StageError::Cache {
        action,
        path: path.to_owned(),
        source,
    }
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{Cache, Component, StageError, fs};
    use crate::engine::deterministic_config;

    /// A component without anything in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    const DIGEST: [u8; 32] = [7; 32];

    /// A folder with one file of compiled code.
    #[derive(Debug)]
    pub struct Compiled {
        cache: Cache,
        engine: wasmtime::Engine,
    }

    impl Compiled {
        /// In this folder, and the file's bytes.
        ///
        /// # Errors
        /// The engine or the folder fails.
        pub fn new(folder: &std::path::Path) -> Result<(Self, Vec<u8>), StageError> {
            let broken = |error: wasmtime::Error| StageError::Engine(error.to_string());
            let engine = wasmtime::Engine::new(&deterministic_config()).map_err(broken)?;
            let cache = Cache::open(folder.to_owned(), [5; 32], &engine)?;
            let component = Component::new(&engine, EMPTY).map_err(broken)?;
            cache.store(&DIGEST, &component)?;
            let path = cache.path(&DIGEST);
            let bytes = fs::read(&path).map_err(|error| super::failed("read", &path, error))?;
            Ok((Self { cache, engine }, bytes))
        }

        /// Where the file is.
        pub fn path(&self) -> std::path::PathBuf {
            self.cache.path(&DIGEST)
        }

        /// Whether what is there now is taken for code of this node.
        ///
        /// # Errors
        /// The folder fails.
        pub fn load(&self) -> Result<bool, StageError> {
            let component = self.cache.load(&self.engine, &DIGEST)?;
            Ok(component.is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_rfc_4231_hmac_sha256() {
        // RFC 4231 test case 1 has a key of 20 bytes; zero padding is part of HMAC.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = Secret(key).mac(b"Hi ", b"There");
        assert_eq!(mac[..4], [0xb0, 0x34, 0x4c, 0x61]);
        assert_eq!(mac[28..], [0x2e, 0x32, 0xcf, 0xf7]);
        assert!(Secret(key).verifies(&mac, b"Hi There", b""));
        assert!(!Secret([1; 32]).verifies(&mac, b"Hi There", b""));
    }
}
