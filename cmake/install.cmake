# `cmake --install` gives the binary, libfathom with its headers, and what find_package(fathom) and
# pkg-config need.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS fathom_shared EXPORT fathom_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET fathom_cli)
  install(TARGETS fathom_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY "${CMAKE_SOURCE_DIR}/include/fathom" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES "${CMAKE_SOURCE_DIR}/LICENSE" "${CMAKE_SOURCE_DIR}/NOTICE"
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fathom)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fathom)
install(EXPORT fathom_targets NAMESPACE fathom:: FILE fathom-targets.cmake
        DESTINATION ${package_dir})
configure_package_config_file(cmake/fathom-config.cmake.in
  "${CMAKE_BINARY_DIR}/fathom-config.cmake" INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file("${CMAKE_BINARY_DIR}/fathom-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/fathom-config.cmake"
              "${CMAKE_BINARY_DIR}/fathom-config-version.cmake" DESTINATION ${package_dir})

configure_file(cmake/fathom.pc.in "${CMAKE_BINARY_DIR}/fathom.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/fathom.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
