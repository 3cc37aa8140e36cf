# Runs when the files of the packages lie where they are packed from: what Debian wants of them, and no trace of when
# this was (SOURCE_DATE_EPOCH).
file(GLOB roots LIST_DIRECTORIES true ${CPACK_TEMPORARY_DIRECTORY}/aisbx*)
foreach(root IN LISTS roots)
  file(GLOB pages ${root}/usr/share/man/man*/* ${root}/usr/share/doc/*/changelog ${root}/usr/share/doc/*/changelog.Debian)
  foreach(page IN LISTS pages)
    if(NOT page MATCHES "\\.gz$")
      execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
    endif()
  endforeach()
  execute_process(COMMAND find ${root} -name *.a -exec strip --strip-unneeded --enable-deterministic-archives {} +
    COMMAND_ERROR_IS_FATAL ANY)
  if(DEFINED ENV{SOURCE_DATE_EPOCH})
    execute_process(COMMAND find ${root} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} + COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
