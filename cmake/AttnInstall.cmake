# `cmake --install`: the program, the library, its headers and what find_package(attn) needs.
include(CMakePackageConfigHelpers)

install(TARGETS attn EXPORT attn-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS attn_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET attn_mpi)
  install(TARGETS attn_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/attn)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/attn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/documents/ DESTINATION ${CMAKE_INSTALL_DATADIR}/attn/documents
  FILES_MATCHING PATTERN "*.md" PATTERN "*.npz" PATTERN "*.csv")
install(EXPORT attn-targets NAMESPACE attn:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attn)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/attn-config.cmake.in ${PROJECT_BINARY_DIR}/attn-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attn)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/attn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/attn-config.cmake ${PROJECT_BINARY_DIR}/attn-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindAttnLibcsv.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attn)
