"""What a person types: the table of commands, the Trainer's commands, reading configs."""
