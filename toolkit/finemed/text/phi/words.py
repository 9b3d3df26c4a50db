"""Word lists of the name rules: common given names and surnames of many origins, and words that are no names.

::

    is_known("José")  ->  True          is_other("Syndrome")  ->  True

Drawn up for this project from general knowledge, not from a corpus. Names that are first of all something else in a
medical text (Grace, Faith, Will, Mark, Iris) are not among the known ones: a cue may still point to them.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_GIVEN = """
aaron abdul abdullah abdulrahman abigail abraham adam adebayo adrian adriana agnes agnieszka ahmad ahmed aiko aisha
akira alan albert alberto alejandra alejandro aleksandr alessandro alex alexander alexandra alexandre alexei alexis
alfonso alfred alfredo ali alice alicia alison allison alma amanda amani amara amber amelia amina amir amit amy ana
anastasia anders andre andrea andreas andres andrew andrzej angela angelica angelo anil anita anja ann anna annabelle
anne annette annie anthony antoine antonia antonio aoife arash arjun arlene arnold arthur arturo asha ashley astrid
audrey austin ayesha aylin barbara bartosz beatrice beatriz benjamin bernadette bernard bernice beth bethany betty
beverly bianca birgit bjorn blanca bogdan bonnie boris bradley brandon brenda brendan brian brianna bridget britney
bruce bruno bryan camila camille carl carla carlos carmen carol carole caroline carolyn carrie catalina catherine
cecilia cedric cesar chad charlene charles charlie charlotte chelsea cheryl chiamaka chiara chinedu chloe christian
christina christine christoph christopher ciara cindy claire clara clarence claudia claudio clement clifford clyde
colin colleen connie connor constance corey cornelia courtney craig cristina curtis cynthia daisuke daniel daniela
danielle danny daphne darius darlene darrell darren david deborah debra deepak deepika delores denise dennis derek
desmond diana diane diego dieter dimitri dmitri dmitry dolores dominic dominik donald donna doris dorothy douglas
duncan dwayne dwight dylan earl edgar edith edna eduard eduardo edward edwin eileen elaine eleanor elena elias elijah
elisabeth eliza elizabeth ella ellen elsa elsie emeka emil emilia emilio emily emma emmanuel enrique eric erica erik
erika ernest ernesto esteban estelle esther ethan ethel eugene eva evan eve evelyn ewa fabian farah farid fatima fatma
federico felicia felipe felix fernanda fernando fiona florence fran frances francesca francesco francis francisco
francois frank franz fred freda frederick freya friedrich gabriel gabriela gabrielle gail gareth gary gavin gemma
genevieve geoffrey george georgia gerald geraldine gerard gerhard gertrude gianni gilbert gilberto gina giorgio
giovanni giulia giuseppe gladys glen glenn gloria gordon grazia greg gregory greta grzegorz guadalupe guillermo
gustavo gwen gwendolyn habib hadiya hailey hamza hanna hannah hans harold harriet harry haruto hassan heather hector
heidi heinrich helen helena helga helmut henrik henry herbert herman hilda hiroshi holly howard hugh hugo hung hussein
ian ibrahim ifeoma ignacio igor ines ingrid irene irina irma isaac isabel isabella ismail istvan ivan ivana ivy jack
jackie jacob jacqueline jacques jaime jake jakub jamal james jamie jan jana jane janet janice janine jared jasmin
jasmine jason javier jean jeanette jeffrey jenna jennifer jenny jeremiah jeremy jerome jesse jessica jesus jill jin
joan joanna joanne joao joaquin jocelyn joel johan johann johanna john johnny jonas jonathan jordan jorge jose josef
josefina joseph josephine joshua joyce juan juana juanita judith judy julia julian juliana julie julien juliet julio
jun jurgen justin justyna kaito kamal karen karim karin karina karl karla katarzyna kate katerina katharina katherine
kathleen kathryn kathy katie katrina kavita kayla keiko keisha keith kelly kelvin ken kendra kenji kenneth kenya kerry
kevin khadija khaled khalid kim kimberly kirk klaus kofi kristen kristin kristina krzysztof kumar kwame kyle lakshmi
lamar larry lars latisha latoya laura lauren laurence laurent lawrence leah leila leo leon leonard leonardo leslie
leticia li liam lidia lillian lily linda lindsay lisa lois lorena lorenzo loretta lori lorraine louis louise lourdes
luc luca lucas lucia luciana lucille lucy luigi luis luisa lukas luke lydia lynn mabel maciej madeline madison
magdalena mahmoud malcolm malgorzata malik manuel manuela marcel marcia marco marcos marcus margaret margarita maria
mariam marian mariana marie marilyn marina mario marion marisol marjorie marlene marta martha martin martina marvin
mary maryam masako mateo mateusz mathias matthew matthias maureen maurice mauricio maxime megan mehmet mei melanie
melinda melissa melvin mercedes meredith michael michaela michal michel michele michelle miguel mikael mikhail mildred
milos minh miranda miriam misaki mitchell mohamed mohammad mohammed moira molly monica monika monique morgan moses
muhammad mustafa myrtle nadia nancy naomi natalia natalie natasha nathan nathaniel neha neil nellie ngozi niamh
nicholas nicola nicolas nicole nigel nikhil nikolai nina noah nora norma norman nuria octavio olga oliver olivia omar
oscar osman otto owen pablo padma pamela paola parvati patrice patricia patrick paul paula paulina pauline pavel pawel
pedro peggy penelope perry peter petra philip phillip phyllis pierre piotr piyush prakash pranav preeti priya priyanka
rachel rafael rahul raj rajesh ralph ramesh ramon ramona randall raquel rashid raul ravi raymond rebecca regina
reginald reinhard renata rene reza rhonda ricardo richard rita robert roberta roberto robyn rochelle rodney rodrigo
roger roland rolf roman ronald ronnie rosa rosalie rosemarie roxanne ruben rudolf rudolph rupert russell ruth ryan
sabrina sadie sahar sakura salma salman salvador samantha samir samuel sandra sanjay santiago sara sarah saul scott
sean sebastian selma sergei sergio shannon sharon shaun sheila shelley sherry shirley siddharth silvia simon simone
siobhan sofia sofie sonia sophia sophie soren stacey stacy stanislaw stanley stefan stefania stella stephanie stephen
steve steven stuart sue sunil sunita susan susana suzanne sven svetlana sydney sylvia takashi takeshi tamara tammy
tanisha tanya tariq tatiana tatyana ted teresa terrence terry thabo thanh thelma theodore theresa thi thomas tiffany
tim timothy tina tobias todd tomas tomasz tommy toni tony tracey tracy travis trevor tricia trisha tyler tyrone ulrich
umar ursula usha valentina valerie vanessa venkatesh vera verna vernon veronica vicente vicki victor victoria vijay
vikram vincent vincenzo viola violet virginia vivek vivian vladimir wallace walter wanda warren wayne wendy wesley
wilhelm willard william willie wilma winifred wojciech wolfgang xavier yan yasmin yasmine yolanda yosef yuki yuko
yusuf yvette yvonne zachary zainab zbigniew zeynep zoe zofia zsofia
"""

_SURNAMES = """
abdi abdullah adams aguilar ahmed akhtar alexander ali allen alvarez amir andersen anderson andersson arnold ashworth
bailey baker banerjee barnes bauer becker begum bennett bernard bhatt bianchi bjork bose boyd bradley brennan brooks
brown bryant burke burns butler byrne campbell carlson carpenter carr carroll carter castillo castro chan chang
chatterjee chaudhry chavez chen cheng chowdhury christensen chung clark clarke cohen cole coleman collins conti
contreras cook cooper costa cox cruz cunningham da-silva dang daniels das davies davis delgado desai devi diallo diaz
dixon do dominguez donnelly donovan doyle dubois duncan dunn edwards ellis eriksson esposito estrada evans farah
farrell fernandez ferrari ferreira fischer fisher fitzgerald fitzpatrick fleming flores flynn foster fox franco fraser
freeman fuentes gallagher garcia gardner garza gibson gill goldberg gomez gonzales gonzalez goodwin gordon graham
grant griffin guerrero gupta gutierrez guzman hall hamilton hansen hansson harper harris harrison hart hartmann harvey
hasan hassan hayes henderson henry hernandez herrera hill hoang hoffman hoffmann holmes hopkins horvat howard huang
huber hudson hughes hussain hussein huynh ibrahim ito ivanov ivanova jackson jacobs james jansen janssen jenkins
jensen jimenez johansen johansson johnson johnston jones jordan kamau kaminski kapoor karlsson kaur kelly kennedy khan
kim king klein knight kobayashi koch kowalczyk kowalski krause kumar lam larsen larsson lawson le lee lehmann leroy
lewandowska lewandowski lewis li lim lin lindgren liu long lopez lynch maier marino marshall martin martinez mason
matsumoto matthews mazur mccarthy mcdonald mckenzie medina mehta mejia mendez mendoza mensah meyer miller mills
mitchell mohamed mohammed molina moore morales moran moreau moreno morgan morris morrison muller munoz murphy murray
mwangi myers nair nakamura navarro ndlovu nelson ng nguyen nielsen nikolaev novak nowak obi ochoa oconnor okafor okeke
okonkwo oliveira olsen olson ono ortega ortiz osei otieno owens pacheco palmer park parker patel patterson pedersen
pena pereira perera perez perkins perry peters petersen peterson petrov petrova pham phillips pierce popescu popov
porter powell price ramirez ramos rao reddy reed reid reyes reynolds ricci richards richardson richter riley rios
rivera roberts robertson robinson rodrigues rodriguez rogers rojas romano romero rosenberg ross rossi ruiz russell
russo ryan sahin saito salazar salinas sanchez sanders sandoval santiago santos sasaki sato schmidt schmitz schneider
schultz schulz schwartz scott serrano shah sharma shaw silva simmons simpson singh smirnov smith soto sousa spencer
stevens stewart stone suarez sullivan suzuki svensson szabo takahashi tan tanaka taylor thomas thompson torres tran
tucker turner varga vargas vasquez vazquez vega velasquez vogel volkov wagner walker wallace walsh wang ward
washington watanabe watkins watson webb weber weiss wells west white williams williamson wilson wojcik wong woods
wright wu yadav yamamoto yang yilmaz young yusuf zhang zhao zheng zhou zhu zimmermann
"""

# Words that end a name, or begin a sentence before one, and the heads of what else is written with capitals.
_OTHER = """
a abc about above absolutely abstract access accession accompanied accompanies according account acct acid act active
actor actually acute address admission admit admitted adult adults advocacy advocate affordable africa african after
afterward age aged agency ages agrees alabama alaska all allergies allergy also although america american an and ann
annals annual any appointment apr are arizona arkansas article as asdf asia asian assessment assistance associated
association asymptomatic at attached attended attending aug august australia australian austria author authors autopsy
aware awareness baby back background bacteria balance based because bed been before being belgium below between bill
birth birthday black blood board body born both boy bp brand brazil breast britain british brother but by c california
call called caller came can canada canadian cancer capsule care caregiver caregivers carers caribbean case cases
caucasian cell center centered centers centre chapter characteristics chart chf chicago chief child children china
chinese chronic city claim class client clinic clinical clinician code colleague colleagues collected college color
colorado comment common complains complaint complaints conclusion condition connecticut consent consumer consumers
contact control copd council counseling counselling country county cream ct cuba current cva daily data date dated
dates daughter day days dead dear dec december decision def delaware demographics denies denmark department deputy
description details diagnosed diagnosis did died diet directions director disabled discharge discharged discussed
disease diseases disorder disorders district division dm do dob doc doctor does don't dosage dose drug due during
dutch each early ecg ed editor education effective egypt ekg elderly electronic email emergency emotional employee
encounter end engagement england english enrollment enter er error europe european evaluation evening every everyone
exam examination example experience exposure extension f fact faculty family father fax feb february female fetal few
figure final findings finland first florida fluid follow followed following food for form formerly forms found
foundation four france french fri friday friend friends from full gene general generated generic german germany
gestational ghana girl given global goals good gp grade greece group growth guidance guide guideline guidelines had
haiti hampshire handout has have having hawaii he head health hello helpline her here hg hi him his hispanic history
home hospital hotline hours how however hr htn human husband i i'd i'll i'm i've icu id idaho if illinois illness im
impression in inc including index india indian indiana indication indonesia infant infection infections information
initial insert institute instructions insulin insurance international into introduction investigation iowa iran iraq
ireland irish is israel issue it it's italian italy item its iv january japan japanese jersey jul july just kansas
keep kentucky kenya key kin known korea korean lab label laboratory last later latino law left legal letter level life
like list liver location london long lot louisiana low lung m madam made mail main maine making male man management
many mar march maryland massachusetts maternal md me medical medicare medication medications medicine medicines meet
meeting member men met mexico mi michigan middle mild minnesota miss mississippi missouri mister mobile model mon
monday monitoring montana month monthly months more morning mother mr mri mrn mrs ms much muscle must my name named
names national native near nebraska neck neither netherlands network nevada never new next nhs nigeria no nok none
noon normal north norway not note notes notified notify nov november now np number nurse nurses nursing o objective
oct october of off office often oh ohio oil ok okay oklahoma old older on once one only or oral order oregon organ
organization organizations other our out outcomes outpatient over overview pa package page pain pakistan parent
parents part partner party past pathology patient patients pennsylvania people per period person persons peru pharmacy
phase philippines phone physical physician physicians plan plasma please po poa poland policy population populations
portal portugal positive post pregnancy pregnant prescribed presented presents president press prevention previous
previously primary prior privacy problem problems procedure professor profile program programme progress protected
protection protein provider pt pts public puerto quality question questionnaire questions race rapid rate ray read
reader readers reason recent recently record records recruitment reference referral referred referring region
registration related relations relationship report reported reports request research resident resources response
result results return review rhode rico right rights risk rn room route routine rr russia russian rx safe safety said
same sample samples sat satisfaction saturday saw say says school score scotland scottish screening second section
seen selection self semi senior sep sept september serial service services severe sex sexual she sheet should since
single sir sister site skin small so social socialist society some son sorry source south spain spanish special
specialist specific specifically specimen spouse ssn staff stage state states status step stories street student
students study subject subjective such summary sun sunday support sure surgeon surgery surgical survey survival sweden
swiss switzerland symptom symptoms syndrome system table tablet take tel telephone tennessee test testing tests texas
thailand than thank thanks that that's the their them then therapy there therefore these they this those though three
thu thursday time title to today together told tomorrow total training transfer transferred trauma treatment
treatments trial tue tuesday turkey type types uh ukraine um under unit united university unknown unless until upon
urgent urine us use used user using utah vaccine vermont very via vietnam virus visit vital vitals wales was we wed
wednesday week weekly weeks weight welcome well went were west what when where whether which while white who whole
whom whose why wife will wisconsin with within without woman women word work workers wyoming x xx xxx xyz y yeah year
years yes yesterday yet yo york you your z zealand zip
"""  # fmt: skip

GIVEN = frozenset(_GIVEN.split())
SURNAMES = frozenset(_SURNAMES.split())
OTHER = frozenset(_OTHER.split())
PARTICLES = frozenset(
    "van von der den de del della di da dos das la le el al bin binti ibn ben ter ten y st".split()  # noqa: SIM905
)
RELATIVES = (
    "wife|husband|spouse|partner|son|daughter|stepson|stepdaughter|mother|father|stepmother|stepfather|mom|mum|dad|"
    "sister|brother|niece|nephew|aunt|uncle|cousin|grand(?:son|daughter|mother|father|ma|pa)|girlfriend|boyfriend|"
    "fianc[e]{1,2}|neighbou?r|landlord|landlady|roommate|housemate|carer|caregiver|guardian"
)


@lru_cache(maxsize=1 << 14)
def plain(word: str) -> str:
    """Lower-case, without accents, possessive and full stop."""
    low = word.lower().removesuffix("'s").rstrip(".")
    if low.isascii():
        return low
    low = low.translate({0x142: "l", 0xF8: "o", 0x111: "d", 0xDF: "ss", 0x131: "i"})
    return "".join(char for char in unicodedata.normalize("NFD", low) if not unicodedata.combining(char))


def is_given(word: str) -> bool:
    """Whether it, or a part of it before a hyphen, is a common given name."""
    low = plain(word)
    return low in GIVEN or low.partition("-")[0] in GIVEN


def is_known(word: str) -> bool:
    """Whether it, or a part of it before a hyphen, is a common given name or surname."""
    low = plain(word)
    return is_given(word) or low in SURNAMES or low.partition("-")[0] in SURNAMES


def is_other(word: str) -> bool:
    """Whether it ends a name: a function word, a word of forms and charts, a place."""
    return plain(word) in OTHER
