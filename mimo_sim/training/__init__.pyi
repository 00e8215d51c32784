from .launch import train as train
from .loop import TrainingRun as TrainingRun
from .result import Result as Result
from .settings import Settings as Settings
