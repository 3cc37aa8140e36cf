# sb_options: the one interface target that carries warnings, hardening, sanitizers and coverage.
# Every library and program of ours links it.
#
# A program that must be fully static (aisbx-init) links sb_options_plain instead, which is the
# same without sanitizers and coverage, since those runtimes cannot be linked statically:
#   set_target_properties(aisbx-init PROPERTIES POSITION_INDEPENDENT_CODE OFF)
#   target_link_libraries(aisbx-init PRIVATE sb_options_plain)
#   target_link_options(aisbx-init PRIVATE -static)

include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

option(SB_WERROR "treat warnings as errors" OFF)
option(SB_FUZZ "build libFuzzer targets (clang)" OFF)
option(SB_COVERAGE "instrument for gcov" OFF)
option(SB_MUTATIONS "let AISBX_MUTATE switch layers of defence off, for tests of the tests" OFF)
set(SB_SANITIZE "" CACHE STRING "comma list for -fsanitize=, e.g. address,undefined")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# No -DNDEBUG: assert() guards against our own bugs only and is cheap, and a sandbox that goes on
# with a broken invariant is worse than one that stops.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2")

if(SB_MUTATIONS)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" sb_build_type) # as CMake compares it
  if(sb_build_type MATCHES "^(RELEASE|MINSIZEREL)$")
    message(FATAL_ERROR "SB_MUTATIONS makes sandboxes that can be opened: not in a ${CMAKE_BUILD_TYPE} build")
  endif()
  install(CODE "message(FATAL_ERROR \"a build with SB_MUTATIONS is not to be installed\")")
endif()

# Not the programs of AddressSanitizer, whose tables of checks are thousands of pointers to relocate:
# half of the page faults of a program that ends at once, and tests start it thousands of times.
string(FIND "${SB_SANITIZE}" address sb_at)
if(sb_at EQUAL -1)
  check_pie_supported(LANGUAGES C)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(sb_options_plain INTERFACE)
target_include_directories(sb_options_plain INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(sb_options_plain INTERFACE
  _GNU_SOURCE
  SB_VERSION="${PROJECT_VERSION}"
  $<$<BOOL:${SB_MUTATIONS}>:SB_MUTATIONS=1>)
target_compile_options(sb_options_plain INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wvla -Wundef
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
  -Wwrite-strings -Wswitch-enum -Wnull-dereference -Wdouble-promotion -Wimplicit-fallthrough
  # clang looks into the INIT macros of protobuf-c, which cast const away.
  $<$<C_COMPILER_ID:GNU>:-Wcast-qual>
  $<$<BOOL:${SB_WERROR}>:-Werror>
  -fno-omit-frame-pointer -fno-common -ffunction-sections -fdata-sections
  -fstack-protector-strong)
target_link_options(sb_options_plain INTERFACE
  -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

foreach(flag IN ITEMS -fno-plt -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "SB_HAVE${flag}" have)
  check_c_compiler_flag(${flag} ${have})
  if(${have})
    target_compile_options(sb_options_plain INTERFACE ${flag})
  endif()
endforeach()

# FORTIFY needs an optimiser, and hides from sanitizers what they look for.
if(NOT SB_SANITIZE AND NOT SB_COVERAGE)
  target_compile_options(sb_options_plain INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
endif()

add_library(sb_options INTERFACE)
target_link_libraries(sb_options INTERFACE sb_options_plain)
if(SB_SANITIZE)
  target_compile_options(sb_options INTERFACE
    -fsanitize=${SB_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sb_options INTERFACE -fsanitize=${SB_SANITIZE})
  if(NOT sb_at EQUAL -1)
    target_link_options(sb_options INTERFACE
      $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-no-pie>)
  endif()
  target_compile_definitions(sb_options INTERFACE SB_SANITIZED=1)
endif()
if(SB_COVERAGE)
  target_compile_options(sb_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(sb_options INTERFACE --coverage)
endif()
if(SB_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "SB_FUZZ needs clang (libFuzzer); use the preset: cmake --preset fuzz")
  endif()
  target_compile_options(sb_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
