"""Tables of labels, splits and slides that cannot be read, or say what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bad_case import CACHE, OUT, Case, both, written

TITLE = "Tables"
STATS = ("data", "stats")
CHEXPERT = (*STATS, "chexpert", "--root", "set", "--set", "findings=[Edema]", *CACHE, *OUT)
NIH = (*STATS, "nih_chestxray14", "--root", "set", *CACHE, *OUT)
HEADER = "Path,Frontal/Lateral,Edema\n"
ROW = "train/patient1/study1/a.jpg,Frontal,1\n"
ENTRIES = "Image Index,Finding Labels,Patient ID\n"


def train(content: str | bytes) -> Callable[[Path], object]:
    return written("set/train.csv", content)


def entries(content: str) -> Callable[[Path], object]:
    return both(written("set/a.png", b""), written("set/Data_Entry_2017.csv", ENTRIES + content))


def boxes(content: str) -> Callable[[Path], object]:
    return both(entries("a.png,Mass,1\n"), written("set/BBox_List_2017.csv", content))


CASES = (
    Case(
        "the folder has none",
        CHEXPERT,
        "--root set: root: set holds no train.csv (working directory …); register at Stanford "
        "AIMI for …, or set when_missing to synthesize",
    ),
    Case(
        "it is empty",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it is empty)",
        train(""),
    ),
    Case(
        "it has a header alone",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it has no row below its header)",
        train(HEADER),
    ),
    Case(
        "it is an Excel file of the old kind",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it is an Excel file of the old kind); save it "
        "as .xlsx or CSV",
        train(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),
    ),
    Case(
        "it is packed",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it is packed by gzip); unpack it",
        train(b"\x1f\x8b\x08" + bytes(100)),
    ),
    Case(
        "it is a Parquet file that breaks off",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it is no readable Parquet file: …); write it "
        "anew",
        train(b"PAR1" + bytes(100)),
    ),
    Case(
        "it is no text",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (line 2 holds the character '\\x00', which is "
        "no text)",
        train(HEADER + "a\0b,Frontal,1\n"),
    ),
    Case(
        "it is in an encoding of China",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (the byte 0xbb in line 2 is neither UTF-8 nor "
        "Windows-1252); save it as CSV in UTF-8",
        train((HEADER + "患者图像/a.jpg,Frontal,1\n").encode("gbk")),
    ),
    Case(
        "one byte of it is damaged",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (it is UTF-8 but for the byte 0xff in line 3); "
        "save it as CSV in UTF-8",
        train((HEADER + "Küche\n").encode() + b"\xff\n"),
    ),
    Case(
        "a quote is not closed",
        CHEXPERT,
        "set/train.csv: cannot be read as a table (the quotes of the row that begins in line 2 "
        "are wrong: unexpected end of data); mend or remove them",
        train(HEADER + '"train/a.jpg,Frontal,1\n'),
    ),
    Case(
        "decimals have a comma, and so have the cells",
        CHEXPERT,
        "set/train.csv:2: has 4 cells where the header has 3 (read as comma-separated utf-8); put "
        "text that holds the separator in quotes, and write decimals with a point",
        train(HEADER + "train/patient1/a.jpg,Frontal,0,5\n"),
    ),
    Case(
        "cells have spaces between them",
        CHEXPERT,
        "set/train.csv: lacks the column 'Path'; has Path Frontal/Lateral Edema (read as "
        "comma-separated utf-8)",
        train("Path Frontal/Lateral Edema\na.jpg Frontal 1\n"),
    ),
    Case(
        "a column is left out",
        CHEXPERT,
        "set/train.csv: lacks the column 'Frontal/Lateral'; has Path, Edema",
        train("Path,Edema\na.jpg,1\n"),
    ),
    Case(
        "a column stands twice",
        CHEXPERT,
        "set/train.csv:1: the column 'Edema' stands twice; rename or remove one",
        train("Path,Frontal/Lateral,Edema,Edema\na.jpg,Frontal,1,1\n"),
    ),
    Case(
        "a column has no name",
        CHEXPERT,
        "set/train.csv:2: column 4 holds 'yes', but has no name; name or remove it",
        train("Path,Frontal/Lateral,Edema,\na.jpg,Frontal,1,yes\n"),
    ),
    Case(
        "a finding that it has not",
        (*CHEXPERT, "--set", "findings=[Oedema]"),
        "set/train.csv: lacks the column 'Oedema'; has Path, Frontal/Lateral, Edema (did you mean "
        "'Edema'?)",
        train(HEADER + ROW),
    ),
    Case(
        "a label that is none",
        CHEXPERT,
        "set/train.csv:3: 'Edema' is 'yes'; must be in [0, 1], empty or -1 for uncertain",
        train(HEADER + ROW + ROW.replace("1\n", "yes\n")),
    ),
    Case(
        "a view that is none",
        CHEXPERT,
        "set/train.csv: has no row whose 'Frontal/Lateral' is frontal; allowed: Above",
        train(HEADER + ROW.replace("Frontal", "Above")),
    ),
    Case(
        "a path without a patient",
        CHEXPERT,
        "1 of 1 paths (a.jpg) name no patient: a folder of each path of set/train.csv must be "
        "patient...",
        train(HEADER + "a.jpg,Frontal,1\n"),
    ),
    Case(
        "an image that is not there",
        CHEXPERT,
        "1 of 1 image files are bad: set/train/patient1/study1/a.jpg: is not there (line 2 of "
        "train.csv); mend or remove them, or raise allowed_bad (now 0) to leave them out",
        train(HEADER + ROW),
    ),
    Case(
        "NIH: a finding that is none",
        NIH,
        "set/Data_Entry_2017.csv:2: unknown finding 'Mas' of a.png; allowed: … (did you mean "
        "'Mass'?)",
        entries("a.png,Mas,1\n"),
    ),
    Case(
        "NIH: a row without a patient",
        NIH,
        "set/Data_Entry_2017.csv:2: 'Patient ID' is empty",
        entries("a.png,Mass,\n"),
    ),
    Case(
        "NIH: an image stands twice",
        NIH,
        "set/Data_Entry_2017.csv:3: a.png stands in line 2 already",
        entries("a.png,Mass,1\na.png,Mass,1\n"),
    ),
    Case(
        "NIH: a box of three numbers",
        NIH,
        "set/BBox_List_2017.csv:2: the box of a.png must be four numbers x, y, w, h with w and h "
        "above 0; is 1, 2, 3",
        boxes("Image Index,Finding Label,x,y,w\na.png,Mass,1,2,3\n"),
    ),
)
