# Finds libcsv, which ships neither a CMake nor a pkg-config file, and gives it as the imported target attn_libcsv. Installed
# with the package files, so that projects that link the static library find it the same way.
find_path(ATTN_LIBCSV_INCLUDE csv.h)
find_library(ATTN_LIBCSV csv)
mark_as_advanced(ATTN_LIBCSV_INCLUDE ATTN_LIBCSV)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(AttnLibcsv REQUIRED_VARS ATTN_LIBCSV ATTN_LIBCSV_INCLUDE)

if(AttnLibcsv_FOUND AND NOT TARGET attn_libcsv)
  add_library(attn_libcsv UNKNOWN IMPORTED)
  set_target_properties(attn_libcsv PROPERTIES
    IMPORTED_LOCATION ${ATTN_LIBCSV}
    INTERFACE_INCLUDE_DIRECTORIES ${ATTN_LIBCSV_INCLUDE})
endif()
