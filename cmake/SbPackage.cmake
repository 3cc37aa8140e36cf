# Debian packages, by CPack: cmake --workflow --preset package, or ./dev package.
#
#   aisbx           programs, helpers, modules, manual, units, completions
#   aisbx-profiles  sources of the built-in profiles, to read and to derive from; recommends the languages they are for
#   aisbx-dev       headers and static library of the C client
#
# Each is a component of the installation; what only a package has comes from deploy/debian.
option(SB_PACKAGE "install what a Debian package has besides" OFF)
set(SB_PACKAGE_CONTACT "aisbx maintainers <maintainers@aisbx.invalid>" CACHE STRING "Maintainer of the packages")
set(SB_PACKAGE_RELEASE 1 CACHE STRING "revision of the packages")

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME aisbx)
if(NOT SB_PACKAGE)
  return()
endif()

# 0.1.0-alpha is older than 0.1.0, which Debian says with a tilde.
string(REPLACE "-" "~" version ${PROJECT_VERSION})
set(SB_PACKAGE_VERSION ${version}-${SB_PACKAGE_RELEASE})
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME aisbx)
set(CPACK_PACKAGE_VERSION ${version})
set(CPACK_PACKAGE_CONTACT ${SB_PACKAGE_CONTACT})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # else it stands in front of each package's own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL aisbx aisbx-profiles aisbx-dev)
set(CPACK_PRE_BUILD_SCRIPTS ${debian}/finish.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${SB_PACKAGE_RELEASE})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

function(sb_package name section summary)
  string(TOUPPER ${name} upper)
  list(JOIN ARGN "\n" description)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_FILE_NAME DEB-DEFAULT PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${description}" PARENT_SCOPE)
  file(GLOB control ${debian}/${name}/*)
  list(FILTER control INCLUDE REGEX "/(conffiles|postinst|prerm|postrm)$")
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${control}" PARENT_SCOPE)
endfunction()

sb_package(aisbx admin "sandboxes for code that nobody has read yet"
  "Runs what a language model or a stranger wrote behind seven namespaces, a"
  "seccomp list per language, Landlock and control groups, as root or as an"
  "ordinary user, and says how it ended with the kernel's own counters."
  ""
  "Contains the command line, the worker that makes sandboxes, the gateway for"
  "the Model Context Protocol and REST, and a supervisor for both as a service"
  "of systemd, which is not started until it is enabled.")
set(CPACK_DEBIAN_AISBX_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_AISBX_PACKAGE_DEPENDS
  "systemd | systemd-standalone-sysusers | systemd-sysusers, systemd | systemd-standalone-tmpfiles | systemd-tmpfiles, init-system-helpers (>= 1.54~), procps")
set(CPACK_DEBIAN_AISBX_PACKAGE_RECOMMENDS "aisbx-profiles, ca-certificates, uidmap")
set(CPACK_DEBIAN_AISBX_PACKAGE_SUGGESTS "bubblewrap")

sb_package(aisbx-profiles admin "profiles of aisbx, and the languages they are for"
  "Sources of the profiles that aisbx has built in, to read and to derive one's"
  "own from, with their lists of system calls in the format of OCI."
  ""
  "Recommends the interpreters and compilers that python-dev, node-dev, go-dev,"
  "rust-dev and java-dev run.")
set(CPACK_DEBIAN_AISBX-PROFILES_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_AISBX-PROFILES_PACKAGE_RECOMMENDS
  "python3, nodejs, golang-go, rustc, cargo, default-jdk-headless, gcc, libc6-dev")
set(CPACK_DEBIAN_AISBX-PROFILES_PACKAGE_ENHANCES aisbx)

sb_package(aisbx-dev libdevel "C client of aisbx"
  "Headers and a static library to make sandboxes and run programs in them from"
  "C: typed calls of the contract aisbx.v1 over the local transport, which passes"
  "descriptors, and over gRPC by a module of the package aisbx.")
set(CPACK_DEBIAN_AISBX-DEV_PACKAGE_DEPENDS "libprotobuf-c-dev, libc6-dev")
set(CPACK_DEBIAN_AISBX-DEV_PACKAGE_RECOMMENDS "aisbx (= ${SB_PACKAGE_VERSION}), pkg-config")

include(CPack)
