# Compiles several files of one folder at once where CMAKE_UNITY_BUILD is on, as the scripts that build from nothing set it: the
# standard library's headers are what takes the time, and are read once for all of them.

# attn_compile_together(TARGET COUNT): at most COUNT files of one folder at a time, so that what stands in an unnamed namespace
# must be unique only among the files of a folder. Nothing where CMAKE_UNITY_BUILD is off.
function(attn_compile_together target count)
  if(NOT CMAKE_UNITY_BUILD)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  list(SORT sources)
  foreach(source IN LISTS sources)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${source})
    get_filename_component(folder ${folder} DIRECTORY)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    if(NOT DEFINED members_${folder})
      set(members_${folder} 0)
    endif()
    math(EXPR batch "${members_${folder}} / ${count}")
    math(EXPR members_${folder} "${members_${folder}} + 1")
    set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES UNITY_GROUP ${folder}_${batch})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
  # g++ takes what stands in an unnamed namespace of an included file for a slip.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()
