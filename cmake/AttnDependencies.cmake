# The packages attn is built from; all of them are in Debian 12.
find_package(xtensor REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(TBB REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)

# libcsv ships neither a CMake nor a pkg-config file.
find_path(ATTN_LIBCSV_INCLUDE csv.h REQUIRED)
find_library(ATTN_LIBCSV csv REQUIRED)
add_library(attn_libcsv INTERFACE)
target_include_directories(attn_libcsv SYSTEM INTERFACE ${ATTN_LIBCSV_INCLUDE})
target_link_libraries(attn_libcsv INTERFACE ${ATTN_LIBCSV})

# fast_float is headers only.
find_path(ATTN_FAST_FLOAT_INCLUDE fast_float/fast_float.h REQUIRED)
