#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Installs to a temporary prefix and builds a small program against it with pkg-config (shared and static) and
# with the CMake package.
source "$(dirname "$0")/lib.sh"

prefix=$work/prefix
cat >"$work/consumer.c" <<'C'
#include <stdio.h>
#include "actors/node.h"
#include "compute/model.h"
int main (void)
{
    rk_shape_t shape = {.n_dims = 3, .dim = {1, 28, 28}};
    rk_model_t *model = NULL;
    rk_error_t err = {0};
    rk_settings_t settings;
    rk_settings_default (&settings);
    if (rk_model_by_name (&model, settings.model_name, shape, 10, &err)) {
        fprintf (stderr, "%s\n", err.text);
        return 1;
    }
    printf ("%s %zu\n", rk_model_name (model), rk_model_n_params (model));
    rk_model_destroy (&model);
    return 0;
}
C

case_install () {
    cmake --install "$RK_BUILD_DIR" --prefix "$prefix" >log 2>&1 || { cat log; fail "install"; }
    "$prefix/bin/rookery" help >help.txt
    grep -q '^usage: rookery' help.txt
}

# the .pc file names the prefix of configure time, so the temporary one is passed along
pc () {
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name rookery.pc)") pkg-config --define-variable=prefix="$prefix" "$@" rookery
}

# RK_SANITIZE builds need the same flags in the consumer
flags () {
    sed -n 's/^RK_SANITIZE:STRING=\(..*\)$/-fsanitize=\1/p' "$RK_BUILD_DIR/CMakeCache.txt"
}

case_pkg_config_shared () {
    # shellcheck disable=SC2046
    gcc -std=c11 -Wall -Werror $(flags) "$work/consumer.c" -o consumer $(pc --cflags) $(pc --libs)
    [ "$(LD_LIBRARY_PATH=$(pc --variable=libdir) ./consumer)" = "cnn 1625866" ]
    ldd consumer | grep -q librookery
}

case_pkg_config_static () {
    # shellcheck disable=SC2046
    gcc -std=c11 -Wall -Werror $(flags) "$work/consumer.c" -o consumer $(pc --cflags) \
        "$(pc --variable=libdir)/librookery.a" $(pc --static --libs-only-l | sed 's/-lrookery//')
    [ "$(./consumer)" = "cnn 1625866" ]
}

case_cmake_package () {
    cp "$work/consumer.c" .
    cat >CMakeLists.txt <<'C'
cmake_minimum_required (VERSION 3.22)
project (consumer LANGUAGES C)
find_package (rookery 0.1 REQUIRED)
add_executable (consumer consumer.c)
target_link_libraries (consumer PRIVATE rookery::rookery)
add_executable (consumer_shared consumer.c)
target_link_libraries (consumer_shared PRIVATE rookery::rookery_shared)
C
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="$(flags)" >log 2>&1 &&
        cmake --build build >>log 2>&1 || { cat log; fail "cmake package"; }
    [ "$(build/consumer)" = "cnn 1625866" ]
    [ "$(build/consumer_shared)" = "cnn 1625866" ]
}

run_case installs case_install
run_case pkg_config_shared case_pkg_config_shared
run_case pkg_config_static case_pkg_config_static
run_case cmake_package case_cmake_package
finish
