# Installs BUILD below WORK, moves the result (an install must not know its own place), and builds and runs CONSUMER with it.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "status ${status} from: ${command}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/prefix)

set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK}/build -G ${GENERATOR}
  -D CMAKE_PREFIX_PATH=${WORK}/prefix
  -D CMAKE_BUILD_TYPE=${BUILD_TYPE}
  -D CMAKE_CXX_COMPILER=${COMPILER}
  -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
  -D CMAKE_CXX_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${CMAKE_COMMAND} -E chdir ${WORK}/build ./consumer)

# The installed headers are used, not those of the source tree.
file(READ ${WORK}/build/CMakeCache.txt cache)
if(NOT cache MATCHES "attn_DIR:PATH=${WORK}/prefix")
  message(FATAL_ERROR "the consumer found another attn than the one just installed")
endif()
file(GLOB program ${WORK}/prefix/bin/attn)
if(NOT program)
  message(FATAL_ERROR "bin/attn was not installed")
endif()
# It finds the documents that were installed with it, wherever both were moved.
if(RUNS_HERE)
  run(${program} reproduce)
endif()
