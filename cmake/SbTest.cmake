# How tests are declared. Labels: unit, fuzz, layering, integration, interop; "threaded" for whatever
# the tsan preset should run; "again" for what runs our code as another test does, but by another
# driver or for another caller: the asan preset leaves it out.  Exit status 77 means "cannot run here"
# everywhere.
#
#   sb_unit_test(<name> SOURCES <file>... [LINK <target>...] [WRAP <symbol>...] [LABEL <label>...])
#       a cmocka program; WRAP replaces a symbol by __wrap_<symbol> (fault injection).
#   sb_fuzz_target(<name> <source> [LINK <target>...])
#       a libFuzzer target with SB_FUZZ, else a replay of corpus/<name> and crashes/<name>.
#   sb_script_test(<name> <script> [LABEL <label>...] [TIMEOUT <s>] [ARGS <arg>...])
#       a script that finds the programs under test in $AISBX_BIN.

pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# gcc does not know that a failed assert_*() never returns.
add_library(sb_test_options INTERFACE)
target_compile_options(sb_test_options INTERFACE
  -Wno-null-dereference $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)

# Of a test that is run as root, too.
set(SB_AGAIN_user again)

# What the fuzz preset builds.
add_custom_target(fuzzers)
# What the tsan preset builds.
add_custom_target(threaded)

set(SB_TEST_BIN_DIR ${PROJECT_BINARY_DIR}/tests/bin)
set(SB_FUZZ_DIR ${PROJECT_SOURCE_DIR}/tests/fuzz)

function(sb_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LINK;WRAP;LABEL")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE sb_options sb_test_options ${arg_LINK} PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${SB_TEST_BIN_DIR})
  if("threaded" IN_LIST arg_LABEL)
    add_dependencies(threaded ${name})
  endif()
  foreach(symbol IN LISTS arg_WRAP)
    target_link_options(${name} PRIVATE -Wl,--wrap=${symbol})
  endforeach()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    LABELS "unit;${arg_LABEL}"
    SKIP_RETURN_CODE 77
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "AISBX_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};AISBX_SOURCE=${PROJECT_SOURCE_DIR}")
endfunction()

function(sb_fuzz_target name source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LINK")
  if(SB_FUZZ)
    add_executable(${name} ${source})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${source} ${SB_FUZZ_DIR}/replay.c)
  endif()
  target_link_libraries(${name} PRIVATE sb_options ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  # Both libFuzzer and replay.c take files as arguments and run each once.
  file(GLOB inputs CONFIGURE_DEPENDS ${SB_FUZZ_DIR}/corpus/${name}/* ${SB_FUZZ_DIR}/crashes/${name}/*)
  add_test(NAME ${name} COMMAND ${name} ${inputs})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  if(SB_FUZZ AND NOT inputs)
    set_tests_properties(${name} PROPERTIES DISABLED ON) # without a file libFuzzer would fuzz on
  endif()
  add_dependencies(fuzzers ${name})
endfunction()

function(sb_script_test name script)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "TIMEOUT" "LABEL;ARGS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  cmake_path(ABSOLUTE_PATH script BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${script} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES
    LABELS "${arg_LABEL}"
    SKIP_RETURN_CODE 77
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "AISBX_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};AISBX_SOURCE=${PROJECT_SOURCE_DIR};AISBX_BUILD=${PROJECT_BINARY_DIR}")
endfunction()
