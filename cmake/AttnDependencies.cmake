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

# fast_float is headers only.
find_path(ATTN_FAST_FLOAT_INCLUDE fast_float/fast_float.h REQUIRED)
