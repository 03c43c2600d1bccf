//! Variables that change what a command runs, or that hold keys of this program.

use std::env;

use crate::failure::Failure;

/// Fails if one of `names` is dangerous and not among `allowed`: a tenant may have set it, but someone else runs or
/// sources it. `undone` says what did not happen.
pub(super) fn refuse<'n>(
    names: impl IntoIterator<Item = &'n str>,
    allowed: &[String],
    undone: &str,
) -> Result<(), Failure> {
    let is_refused = |name: &&str| is_dangerous(name) && !allowed.iter().any(|one| one == name);
    let refused: Vec<_> = names.into_iter().filter(is_refused).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let options: Vec<_> = refused.iter().map(|name| format!("--allow {name}")).collect();
    let message = format!("variables that can change which code runs, or hold a key: {}", refused.join(", "));
    Err(Failure::invalid(message)
        .next(format!("{undone}; if that is what they are for, add {}", options.join(" "))))
}

/// Whether a variable of this name is known to make a shell, a loader, an interpreter or a tool run other code. The
/// list follows those that `sudo` removes and those that loaders ignore in privileged programs; it cannot be complete.
fn is_dangerous(name: &str) -> bool {
    let of_any_case = matches(&name.to_ascii_uppercase(), &[], PREFIXES_OF_ANY_CASE);
    of_any_case || is_own(name) || matches(name, NAMES, PREFIXES)
}

/// Whether a variable tells this program where the vault and its key are.
fn is_own(name: &str) -> bool {
    matches(name, OWN_NAMES, OWN_PREFIXES)
}

/// The variables of this process that are not passed to a command that it starts: the command gets its own variables,
/// not the means to read the rest.
pub(super) fn own() -> impl Iterator<Item = String> {
    env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_own(name))
}

/// Names on Windows are case-insensitive.
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
    "RSYNC_RSH", "PSQLRC", "PSQL_EDITOR", "PSQL_PAGER", "PGSERVICEFILE", "PGSYSCONFDIR", "CURL_HOME", "GNUPGHOME",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_PYTHON", "CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR",
    "LESS", "LESSEDIT", "LESSKEY", "LESSKEYIN", "LESSKEY_CONTENT", "LESSKEYIN_SYSTEM", "LESSKEY_SYSTEM",
    "SYSTEMD_PAGER", "SYSTEMD_EDITOR", "SYSTEMD_LESS", "CVS_RSH", "SVN_SSH", "SVN_EDITOR", "HGRCPATH", "HGEDITOR",
    "WGETRC", "SYSTEM_WGETRC", "MAILCAPS", "SCREENRC", "EMACSLOADPATH", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "HELM_PLUGINS", "TF_CLI_CONFIG_FILE", "NVM_DIR",
    // Shells.
    "IFS", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "FPATH", "GLOBIGNORE",
    "PS0", "PS1", "PS2", "PS3", "MAILPATH", "BASH_LOADABLES_PATH", "fish_function_path",
    "ZDOTDIR", "NULLCMD", "READNULLCMD", "TMPPREFIX",
    // The prompts of zsh under its own names, which it expands.
    "PROMPT", "PROMPT2", "PROMPT3", "PROMPT4", "RPROMPT", "RPROMPT2", "RPS1", "RPS2", "SPROMPT", "prompt",
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
    "BUN_OPTIONS",
    // Build tools, and libraries that load other code.
    "CC", "CXX", "CPP", "LD", "AR", "MAKE",
    "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "COMPILER_PATH", "GCC_EXEC_PREFIX", "CONFIG_SITE", "CONFIG_SHELL",
    "MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "MAKEOVERRIDES", "GOFLAGS", "GOPROXY", "GOENV", "GOROOT", "GOPATH",
    "GOTOOLCHAIN", "GOTOOLDIR", "GOSUMDB", "RUSTDOC", "RUSTDOCFLAGS", "RUSTFMT", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN",
    "CARGO_ENCODED_RUSTFLAGS", "JAVA_HOME", "JAVA_OPTS", "JAVACMD", "CATALINA_OPTS", "SBT_OPTS",
    "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "SSLKEYLOGFILE", "GTK_MODULES", "GTK_PATH",
    "GIO_EXTRA_MODULES", "GST_PLUGIN_PATH", "QT_PLUGIN_PATH",
    "GDK_PIXBUF_MODULE_FILE", "GTK_IM_MODULE_FILE", "GTK_EXE_PREFIX", "QML_IMPORT_PATH", "QML2_IMPORT_PATH",
    "QT_QPA_PLATFORM_PLUGIN_PATH", "LIBGL_DRIVERS_PATH", "LIBVA_DRIVERS_PATH", "VK_ICD_FILENAMES",
    "VK_DRIVER_FILES", "VK_LAYER_PATH", "OCL_ICD_VENDORS", "SASL_PATH", "KRB5_CONFIG", "ODBCINI", "ODBCSYSINI",
    "ODBCINSTINI", "TNS_ADMIN", "ORACLE_HOME", "LIBMYSQL_PLUGINS", "LIBMYSQL_PLUGIN_DIR", "MYSQL_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSH_AUTH_SOCK",
    "SSH_ASKPASS", "SUDO_ASKPASS", "KUBECONFIG",
    "DOCKER_CONFIG", "DOCKER_HOST", "COMPOSE_FILE", "COMPOSE_ENV_FILES", "CARGO", "CARGO_HOME",
    "AWS_PAGER", "KUBECTL_EXTERNAL_DIFF", "ERL_LIBS", "R_LIBS", "RUBYGEMS_GEMDEPS", "GUNICORN_CMD_ARGS",
    "PYTEST_ADDOPTS",
    "RIPGREP_CONFIG_PATH", "SSH_SK_HELPER", "CPATH", "JULIA_LOAD_PATH", "NODE_TLS_REJECT_UNAUTHORIZED", "NIS_PATH",
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
    "CARGO_ALIAS_",
    "CMAKE_",
    "PKG_CONFIG",
    "ANSIBLE_",
    "BUNDLE_",
    "TF_CLI_ARGS",
    "YARN_",
    "PIP_",
];

/// Variables of npm, which reads them in any case.
const PREFIXES_OF_ANY_CASE: &[&str] = &["NPM_CONFIG_"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_change_what_runs_are_dangerous_and_others_are_not() {
        for name in
            ["PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GIT_SSH_COMMAND", "PYTHONPATH", "BASH_FUNC_a%%"]
                .into_iter()
                .chain([
                    "JAVA_HOME",
                    "AWS_SHARED_CREDENTIALS_FILE",
                    "LESS",
                    "npm_Config_script_shell",
                    "CFLAGS",
                    "RPROMPT",
                    "COMPOSE_FILE",
                ])
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
