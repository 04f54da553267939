# SPDX-License-Identifier: MPL-2.0
# cmake -DOUT=FILE.c -DDIR=FOLDER -P embed.cmake: the parts of the report page as bytes in C.
set (scripts base accuracy spread cost whatif main) # in the order they run
function (embed name file)
    file (READ ${DIR}/${file} bytes HEX)
    string (REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string (REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
    file (APPEND ${OUT} "${ARGN}const char ${name}[] = {\n${bytes}0};\n")
endfunction ()
file (WRITE ${OUT} "/* Made by the build. */\n#include \"actors/rookery/report.h\"\n")
embed (rk_report_page page.html)
embed (rk_report_style style.css)
set (list "")
foreach (script ${scripts})
    embed (s_${script} ${script}.js "static ")
    string (APPEND list "s_${script}, ")
endforeach ()
file (APPEND ${OUT} "const char *const rk_report_scripts[] = {${list}0};\n")
