# Generated protobuf code. It lives in the build tree only, is compiled with -w and included as
# SYSTEM; nothing of it is committed or formatted.
#
#   sb_proto(<target> [ROOT <dir>] <file>... [LINK <target>...])
#       messages: <stem>.pb-c.h/.c by protobuf-c, in a static library. Files are relative to ROOT
#       (default: the current source directory).
#   sb_proto_rpc(<target> [ROOT <dir>] <file>... [LINK <target>...])
#       typed servers and clients: <stem>.rpc.h/.c and <stem>.desc.c (reflection; only who names it
#       links it) by our plugin, for those files that declare a service.

find_package(PkgConfig REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_GEN_C NAMES protoc-gen-c REQUIRED)
find_path(SB_PROTO_WKT google/protobuf/timestamp.proto REQUIRED)

# The archive is preferred: each shared library costs the CLI start-up time.
find_library(SB_PROTOBUF_C_STATIC libprotobuf-c.a)
add_library(sb_protobuf_c INTERFACE)
if(SB_PROTOBUF_C_STATIC)
  target_include_directories(sb_protobuf_c SYSTEM INTERFACE ${PROTOBUF_C_INCLUDE_DIRS})
  target_link_libraries(sb_protobuf_c INTERFACE ${SB_PROTOBUF_C_STATIC})
else()
  target_link_libraries(sb_protobuf_c INTERFACE PkgConfig::PROTOBUF_C)
endif()

set(SB_GEN_DIR ${PROJECT_BINARY_DIR}/gen)
file(MAKE_DIRECTORY ${SB_GEN_DIR})

# Adds one static library of generated sources.
#   plugin  path or target-file expression of the plugin;  name  its protoc name;  ext  "pb-c"
function(sb_proto_library target root plugin name ext depends link files)
  # An imported file may change what its importer generates: every output depends on all files.
  list(TRANSFORM files PREPEND ${root}/ OUTPUT_VARIABLE inputs)
  set(sources)
  foreach(file IN LISTS files)
    string(REGEX REPLACE "\\.proto$" ".${ext}" stem ${file})
    set(out ${SB_GEN_DIR}/${stem})
    set(outputs ${out}.c ${out}.h)
    if(ext STREQUAL "rpc")
      string(REGEX REPLACE "\\.rpc$" ".desc.c" desc ${out})
      list(APPEND outputs ${desc})
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0
        ${PROTOC} --plugin=protoc-gen-${name}=${plugin} --${name}_out=${SB_GEN_DIR}
        --proto_path=${root} --proto_path=${SB_PROTO_WKT} ${root}/${file}
      DEPENDS ${inputs} ${depends}
      COMMENT "Generating ${stem}.c"
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_compile_options(${target} PRIVATE -w)
  target_include_directories(${target} SYSTEM PUBLIC ${SB_GEN_DIR})
  target_link_libraries(${target} PRIVATE sb_options PUBLIC sb_protobuf_c ${link})
endfunction()

function(sb_proto target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ROOT" "LINK")
  if(NOT arg_ROOT)
    set(arg_ROOT ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  sb_proto_library(${target} ${arg_ROOT} ${PROTOC_GEN_C} c pb-c
    "" "${arg_LINK}" "${arg_UNPARSED_ARGUMENTS}")
endfunction()

function(sb_proto_rpc target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ROOT" "LINK")
  if(NOT arg_ROOT)
    set(arg_ROOT ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  set(services)
  foreach(file IN LISTS arg_UNPARSED_ARGUMENTS)
    # A file that gains its first service must be seen without a manual reconfigure.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${arg_ROOT}/${file})
    file(STRINGS ${arg_ROOT}/${file} service REGEX "^service[ \t]")
    if(service)
      list(APPEND services ${file})
    endif()
  endforeach()
  if(NOT services)
    message(STATUS "${target}: no service declared yet, skipped")
    return()
  endif()
  sb_proto_library(${target} ${arg_ROOT} $<TARGET_FILE:protoc-gen-aisbx-c> aisbx-c rpc
    protoc-gen-aisbx-c "${arg_LINK}" "${services}")
endfunction()
