//! Variables that change what a command runs, or that hold keys of this program.

/// Whether a variable of this name is known to make a shell, a loader, an interpreter or a tool run other code. The
/// list follows those that `sudo` removes and those that loaders ignore in privileged programs; it cannot be complete.
pub(super) fn is_dangerous(name: &str) -> bool {
    is_own(name) || matches(name, NAMES, PREFIXES)
}

/// Whether a variable tells this program where the vault and its key are.
pub(super) fn is_own(name: &str) -> bool {
    matches(name, OWN_NAMES, OWN_PREFIXES)
}

/// Windows knows no case in names.
fn matches(name: &str, names: &[&str], prefixes: &[&str]) -> bool {
    let name = if cfg!(windows) { name.to_ascii_uppercase() } else { name.to_owned() };
    names.contains(&name.as_str()) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

const OWN_NAMES: &[&str] = &["PGPASSWORD"];
const OWN_PREFIXES: &[&str] = &["STRONGROOM_"];

#[rustfmt::skip]
const NAMES: &[&str] = &[
    // Where programs and home directories are, and which shell and tools are started.
    "PATH", "HOME", "SHELL", "EDITOR", "VISUAL", "PAGER", "MANPAGER", "BROWSER", "LESSOPEN", "LESSCLOSE", "COMSPEC",
    "PATHEXT", "PSModulePath", "PSMODULEPATH", "SYSTEMROOT", "WINDIR", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS",
    "XDG_DATA_DIRS", "XDG_DATA_HOME", "VIMINIT", "EXINIT", "FCEDIT", "MANROFFOPT", "INPUTRC", "TAR_OPTIONS",
    "RSYNC_RSH", "PSQLRC", "PGSERVICEFILE", "CURL_HOME", "GNUPGHOME", "AWS_CONFIG_FILE",
    // Shells.
    "IFS", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "FPATH", "GLOBIGNORE",
    "BASH_LOADABLES_PATH", "ZDOTDIR", "NULLCMD", "READNULLCMD", "TMPPREFIX",
    // The C library and the loader.
    "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NLSPATH", "PATH_LOCALE",
    "RES_OPTIONS", "RESOLV_HOST_CONF", "TERMCAP", "TERMINFO", "TERMINFO_DIRS", "TERMPATH", "TZDIR",
    // Interpreters and virtual machines.
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONWARNINGS",
    "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX", "NODE_OPTIONS", "NODE_PATH",
    "NODE_EXTRA_CA_CERTS", "NODE_REPL_EXTERNAL_MODULE", "PERL5LIB", "PERL5OPT", "PERL5DB",
    "PERLLIB", "PERLIO_DEBUG", "RUBYLIB", "RUBYOPT", "GEM_HOME", "GEM_PATH", "BUNDLE_GEMFILE", "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "MAVEN_OPTS", "GRADLE_OPTS", "DOTNET_STARTUP_HOOKS",
    "PHPRC", "PHP_INI_SCAN_DIR", "R_PROFILE", "R_PROFILE_USER", "R_ENVIRON", "R_ENVIRON_USER", "ERL_FLAGS",
    "ERL_AFLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS", "GUILE_LOAD_PATH", "DENO_DIR", "BUN_INSTALL",
    // Build tools, and libraries that load other code.
    "CC", "CXX", "CPP", "LD", "AR", "MAKE",
    "MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "GOFLAGS", "GOPROXY", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "SSLKEYLOGFILE", "GTK_MODULES", "GTK_PATH",
    "GIO_EXTRA_MODULES", "GST_PLUGIN_PATH", "QT_PLUGIN_PATH", "SSH_ASKPASS", "SUDO_ASKPASS", "KUBECONFIG",
    "DOCKER_CONFIG", "CARGO", "CARGO_HOME",
];

const PREFIXES: &[&str] = &[
    "LD_",
    "_RLD",
    "DYLD_",
    "MALLOC_",
    "GIT_",
    "BASH_FUNC_",
    "LUA_",
    "CORECLR_",
    "COR_",
    "COMPlus_",
    "COMPLUS_",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "NPM_CONFIG_",
    "npm_config_",
    "PIP_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_change_what_runs_are_dangerous_and_others_are_not() {
        for name in
            ["PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GIT_SSH_COMMAND", "PYTHONPATH", "BASH_FUNC_a%%"]
        {
            assert!(is_dangerous(name), "{name}");
        }
        for name in [
            "DATABASE_URL",
            "PATH_PREFIX",
            "API_TOKEN",
            "LDAP_HOST",
            "GITHUB_TOKEN",
            "PYTHON_VERSION",
            "CARGO_REGISTRY_TOKEN",
            "ENVIRONMENT",
        ] {
            assert!(!is_dangerous(name), "{name}");
        }
    }
}
