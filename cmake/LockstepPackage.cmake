# `cpack` in the build folder makes two Debian packages: lockstep (the component `runtime` of LockstepInstall) and
# lockstep-dev (`development`).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lockstep)
set(CPACK_PACKAGE_CONTACT "The lockstep maintainers")
set(CPACK_STRIP_FILES ON)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/LockstepPackageTools.cmake)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "distributed training whose result does not depend on the number of workers
lockstep trains convolutional and dense networks on many workers at once, on CPUs.
Their number does not change one bit of the result.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME lockstep)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
# Libraries by what the program is linked to; besides, what its launchers call.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "openmpi-bin, procps")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS openssh-client)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS dataset-fashion-mnist)

set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "libraries and headers of lockstep
For programs that train with lockstep from C++, or add layers of their own to it.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME lockstep-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# What lockstepConfig.cmake looks for is what a build here looks for, but for headers that our sources alone include.
file(STRINGS scripts/packages/build.txt needed REGEX "-dev$")
list(REMOVE_ITEM needed librandom123-dev)
list(JOIN needed ", " needed)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "lockstep (= ${PROJECT_VERSION}), ${needed}")

include(CPack)
