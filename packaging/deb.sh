#!/bin/sh
# What `make deb` runs: `make install` into a folder, the few things that Debian wants elsewhere, and
# dpkg-deb. As any user; the files in the package are root's.
set -eu
cd "$(dirname "$0")/.."

build=${BUILD:-build}
version=$(sed -n 's/^#define PERILUNE_VERSION "\(.*\)"$/\1/p' core/base/version.h)
arch=$(dpkg --print-architecture)
root=$build/deb/root
share=$root/usr/share
package=$build/perilune_${version}_$arch.deb

rm -rf "$build/deb"
mkdir -p "$root/DEBIAN" "$root/etc/default"
"${MAKE:-make}" --no-print-directory -s install BUILD="$build" DESTDIR="$root" PREFIX=/usr >/dev/null

mv "$share/zsh/site-functions" "$share/zsh/vendor-completions"
gzip -9n "$share/man/man1/perilune.1"
mv "$share/doc/perilune/LICENSE" "$share/doc/perilune/copyright"
rm -r "$root/usr/lib/sysusers.d" # postinst makes the user
install -m 644 packaging/debian/default "$root/etc/default/perilune"
printf 'perilune (%s) unstable; urgency=medium\n\n  * Built from source; the history is in its repository.\n\n -- %s  %s\n' "$version" \
    'The Perilune authors <perilune@localhost>' "$(date -R -u -d "@${SOURCE_DATE_EPOCH:-$(stat -c %Y core/base/version.h)}")" |
    gzip -9n >"$share/doc/perilune/changelog.gz"

# dpkg-shlibdeps asks for a source package's control file.
mkdir "$build/deb/debian"
printf 'Source: perilune\n\nPackage: perilune\nArchitecture: any\n' >"$build/deb/debian/control"
depends=$(cd "$build/deb" && dpkg-shlibdeps -O root/usr/bin/* 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "deb: dpkg-shlibdeps finds no libraries" >&2; exit 1; }

for script in postinst prerm postrm; do
    install -m 755 packaging/debian/$script "$root/DEBIAN/$script"
done
echo /etc/default/perilune >"$root/DEBIAN/conffiles"
sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s#@DEPENDS@#$depends#" \
    -e "s|@SIZE@|$(du -sk --exclude=DEBIAN "$root" | cut -f1)|" packaging/debian/control >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
