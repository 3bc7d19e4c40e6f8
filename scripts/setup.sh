#!/usr/bin/env bash
# Installs what is missing on Debian 12: setup.sh build|test|arm|lint|web ... Each set stands for what one
# kind of work needs. Only Debian's own packages are used, the Rust toolchain included.
source "$(dirname "$0")/common.sh"

build_packages="g++ cmake ninja-build ccache pkg-config nlohmann-json3-dev libcli11-dev libfmt-dev
  libcurl4-openssl-dev libssl-dev libboost1.81-dev libsqlite3-dev libspdlog-dev libyaml-dev
  prometheus-cpp-dev python3 python3-pip xz-utils git ca-certificates"
test_packages="libgtest-dev libsimde-dev"
arm_packages="g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static googletest"
sanitize_packages="clang-19 llvm-19 libclang-rt-19-dev"
clients_packages="python3-venv"
web_packages="chromium fonts-dejavu-core fonts-wqy-microhei"
# Node of any origin will do if it is new enough; Debian's brings npm as a package of its own.
node_minimum=18
lint_packages="clang-19 clang-tidy-19 clang-format-19"

has_node() {
  command -v npm >/dev/null &&
    [ "$(node --version 2>/dev/null | sed 's/^v//; s/[.].*//')" -ge "$node_minimum" ] 2>/dev/null
}

wanted=""
for set in "$@"; do
  case $set in
    build) wanted+=" $build_packages" ;;
    test) wanted+=" $test_packages" ;;
    arm) wanted+=" $arm_packages" ;;
    sanitize) wanted+=" $sanitize_packages" ;;
    lint) wanted+=" $lint_packages" ;;
    clients)
      wanted+=" $clients_packages"
      has_node || wanted+=" nodejs npm"
      ;;
    web)
      wanted+=" $web_packages"
      has_node || wanted+=" nodejs npm"
      ;;
    *)
      die "setup.sh: no set of packages is called '$set'; there are build, test, arm, sanitize, lint," \
        "clients, web"
      ;;
  esac
done

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null ||
  die "this is not a Debian system. Install by hand what these packages hold, then use cmake and" \
    "ninja as docs/testing.md says:$(echo " $wanted" | tr -s ' \n' ' ')and Rust $rust_minimum"

missing=""
for package in $wanted; do
  is_installed "$package" || missing+=" $package"
done
case " $* " in
  *" build "*) use_rust || missing+=" cargo-web rustc-web" ;;
esac
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null ||
    die "these Debian packages are missing:$missing. Install them as root (there is no sudo here)."
  as_root=sudo
fi
apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
    -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

step "Installing Debian packages:$missing"
# A third party's list that cannot be read does not matter as long as the packages are found.
retry apt update || note "apt-get update had problems; going on with the lists there are"
# shellcheck disable=SC2086  # a list of words
retry apt install --yes --no-install-recommends $missing ||
  die "apt-get could not install:$missing. Its own messages above say why."

case " $* " in
  *" build "*)
    use_rust ||
      die "Rust $rust_minimum or later is needed and Debian's cargo-web is not. Is bookworm-security" \
        "among the machine's package sources?"
    ;;
esac
