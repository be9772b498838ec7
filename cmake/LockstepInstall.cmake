# What `cmake --install` puts where: the program with what its users need (component `runtime`), and the libraries with
# what it takes to build on them (component `development`).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(lockstep_headers ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
set(lockstep_package ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
set(lockstep_data ${CMAKE_INSTALL_DATADIR}/lockstep)

# Installs the library lockstep_<name>, which others call lockstep::<name>, with the headers of its folder. Those whose
# path in it begins like one of the further arguments stay here: they show a third party that is ours alone.
function(publish_library name)
  file(GLOB_RECURSE headers RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS *.h)
  foreach(private IN LISTS ARGN)
    list(FILTER headers EXCLUDE REGEX "^${private}")
  endforeach()
  target_sources(lockstep_${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
  set_target_properties(lockstep_${name} PROPERTIES EXPORT_NAME ${name})
  add_library(lockstep::${name} ALIAS lockstep_${name})
  install(TARGETS lockstep_${name} EXPORT lockstep
    ARCHIVE COMPONENT development
    FILE_SET HEADERS DESTINATION ${lockstep_headers} COMPONENT development)
endfunction()

set_target_properties(lockstep_options PROPERTIES EXPORT_NAME options)
install(TARGETS lockstep_options EXPORT lockstep COMPONENT development)
install(EXPORT lockstep NAMESPACE lockstep:: FILE lockstepTargets.cmake DESTINATION ${lockstep_package}
  COMPONENT development)
configure_package_config_file(cmake/lockstepConfig.cmake.in ${PROJECT_BINARY_DIR}/lockstepConfig.cmake
  INSTALL_DESTINATION ${lockstep_package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lockstepConfig.cmake ${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake
  cmake/FindOneDNN.cmake cmake/FindTurboJPEG.cmake cmake/FindxxHash.cmake
  DESTINATION ${lockstep_package} COMPONENT development)

install(DIRECTORY configs DESTINATION ${lockstep_data} COMPONENT runtime)
# They call each other by the folder that they lie in, so only links to them lie on the PATH.
install(PROGRAMS scripts/launch.sh scripts/mpirun.sh scripts/on_host.sh scripts/sweep.sh
  DESTINATION ${lockstep_data}/scripts COMPONENT runtime)
foreach(script IN ITEMS launch mpirun)
  set(link ${PROJECT_BINARY_DIR}/links/lockstep-${script})
  file(RELATIVE_PATH target ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/lockstep/scripts/${script}.sh)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/links)
  file(CREATE_LINK ${target} ${link} SYMBOLIC)
  install(FILES ${link} DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
endforeach()
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
