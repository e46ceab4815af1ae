# The packages attn is built from; all of them are in Debian 12.
find_package(xtensor REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(TBB REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
find_package(AttnLibcsv REQUIRED)
# SHA-256, for the ledgers of sweeps (docs/decisions/0010-ledgers-of-sweeps.md).
pkg_check_modules(nettle REQUIRED IMPORTED_TARGET nettle)
# Headers only.
find_path(ATTN_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)

# fast_float is headers only.
find_path(ATTN_FAST_FLOAT_INCLUDE fast_float/fast_float.h REQUIRED)

# OpenBLAS is loaded when it is first needed (docs/decisions/0007-openblas-when-needed.md): its header, and the name to load.
find_path(ATTN_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas openblas-pthread REQUIRED)
set(ATTN_OPENBLAS_NAME libopenblas.so.0 CACHE STRING "The OpenBLAS library as the dynamic loader finds it")
mark_as_advanced(ATTN_CBLAS_INCLUDE)

# cairo and Pango are loaded when the first picture is drawn (docs/decisions/0010-cairo-when-needed.md): their headers, and the
# name to load, which brings all the others.
pkg_check_modules(pangocairo REQUIRED pangocairo)
set(ATTN_PANGOCAIRO_NAME libpangocairo-1.0.so.0 CACHE STRING "The Pango and cairo library as the dynamic loader finds it")
mark_as_advanced(ATTN_PANGOCAIRO_NAME)
